"""Two runs held against each other: planted changes are seen, scatter alone is none."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.throughput.compare import SavedRow, SavedRun, compare_runs, read_run
from benchmarks.throughput.results import SCHEMA
from engines.errors import UserError
from trans3dhead.cli.main import main


def run_of(milliseconds: float, *, seed: int, rounds: int = 20, scatter: float = 0.05) -> SavedRun:
    rng = np.random.default_rng(seed)
    taken = milliseconds * (1 + scatter * rng.standard_normal(rounds))
    row = SavedRow(name="engine", batch=1, precision="float32", rounds=tuple(taken.tolist()))
    return SavedRun(path=f"{seed}.json", machine="one", rows=(row,))


@pytest.mark.parametrize(
    ("factor", "change"), [(1.0, "same"), (1.25, "slower"), (0.8, "faster"), (1.05, "open")]
)
def test_a_planted_change_is_seen_and_scatter_is_none(factor: float, change: str) -> None:
    found = compare_runs(run_of(10, seed=1), run_of(10 * factor, seed=2))
    (row,) = found.rows
    assert row.change == change
    assert row.interval is not None
    assert row.interval.low < row.speedup < row.interval.high
    assert row.speedup == pytest.approx(1 / factor, rel=0.05)
    assert bool(found.regressed) == (change == "slower")


def test_the_threshold_decides() -> None:
    before, after = run_of(10, seed=1), run_of(12.5, seed=2)
    assert compare_runs(before, after, 0.1).regressed
    assert not compare_runs(before, after, 0.4).regressed


def test_few_rounds_decide_nothing() -> None:
    found = compare_runs(run_of(10, seed=1, rounds=4), run_of(20, seed=2, rounds=4))
    assert (found.rows[0].change, found.rows[0].interval) == ("open", None)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="expected a share"):
        compare_runs(run_of(10, seed=1), run_of(10, seed=2), threshold)


def written(path: Path, milliseconds: float, name: str = "engine") -> Path:
    row = {"name": name, "batch": 1, "precision": "float32", "rounds": [milliseconds] * 8}
    machine = {"gpu": None, "cpu": "a processor"}
    found = {"schema": SCHEMA, "rows": [row], "before": {"machine": machine}}
    path.write_text(json.dumps(found))
    return path


def test_the_command_exits_with_1_for_a_regression(tmp_path, capsys) -> None:
    before, same = written(tmp_path / "a.json", 10), written(tmp_path / "b.json", 10)
    slower = written(tmp_path / "c.json", 20)
    assert main(["bench", "compare", str(before), str(same)]) == 0
    assert main(["bench", "compare", str(before), str(slower)]) == 1
    assert "0.500" in capsys.readouterr().out


@pytest.mark.parametrize("text", ['{"schema": 1, "rows": []}', "[]", '{"schema": 3, "rows": [{}]}'])
def test_a_file_of_something_else_is_refused(text: str, tmp_path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match="measure anew"):
        read_run(path)


def test_runs_without_a_common_row_are_refused_and_both_are_listed(tmp_path) -> None:
    runs = [written(tmp_path / f"{name}.json", 10, name) for name in ("left", "right")]
    with pytest.raises(UserError, match=r"left at 1; right at 1"):
        compare_runs(*map(read_run, runs))
