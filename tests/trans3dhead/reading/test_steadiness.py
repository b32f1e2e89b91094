"""Jitter and error of points whose truth is known, and the points of one head among JSON lines."""

import json
from pathlib import Path

import numpy as np
import pytest

from trans3dhead.reading.steadiness import points_of, steadiness

TRUTH = np.repeat(np.random.default_rng(1).uniform(0, 500, (1, 68, 2)), 9, axis=0)


def test_what_stands_beside_the_truth_is_steady_and_wrong() -> None:
    found = steadiness(TRUTH + np.array([3, 4]), TRUTH)
    assert found.jitter == 0
    assert found.error == pytest.approx(5)


def test_what_swings_about_the_truth_trembles_by_twice_as_much() -> None:
    swing = np.array([1, -1] * 4 + [1])[:, None, None] * np.array([0.6, 0.8])
    found = steadiness(TRUTH + swing, TRUTH)
    assert found.jitter == pytest.approx(2)
    assert found.error == pytest.approx(1)


def test_a_head_is_read_from_the_lines_by_its_track(tmp_path: Path) -> None:
    def head(track: int, value: float) -> dict[str, object]:
        return {"track": track, "mesh": [[value, -value]] * 68, "landmarks": None}

    frames = [[head(0, 1.0), head(1, 7.0)], [], [head(1, 8.0), head(0, 2.0)]]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps({"heads": heads}) + "\n" for heads in frames))
    points = points_of(lines, "mesh")
    assert points.shape == (2, 68, 2)
    np.testing.assert_array_equal(points[:, 5], [[1, -1], [2, -2]])
    np.testing.assert_array_equal(points_of(lines, "mesh", track=1)[:, 0, 0], [7, 8])
    assert points_of(lines, "landmarks").shape == (0, 68, 2)
