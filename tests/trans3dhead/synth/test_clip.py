"""A filmed head: still where it should be, moving where it should be, and the truth about it."""

import itertools

import numpy as np
import pytest

from trans3dhead.head.model import HeadModel
from trans3dhead.synth.clip import Clip, ClipFrame, render_clip

NOISE = 2.0


def film(head: HeadModel, *, moving: bool) -> list[ClipFrame]:
    clip = Clip(moving=moving, seconds=0.4, rate=10, width=320, height=180, noise=NOISE)
    return list(render_clip(head, clip))


@pytest.fixture(scope="module")
def still(head: HeadModel) -> list[ClipFrame]:
    return film(head, moving=False)


@pytest.fixture(scope="module")
def moving(head: HeadModel) -> list[ClipFrame]:
    return film(head, moving=True)


def test_frames_are_those_of_the_clip(still: list[ClipFrame], moving: list[ClipFrame]) -> None:
    for frames in (still, moving):
        assert len(frames) == 4
        assert {frame.image.shape for frame in frames} == {(180, 320, 3)}
        assert {frame.image.dtype for frame in frames} == {np.dtype(np.uint8)}


def test_frames_of_a_still_clip_differ_by_the_sensors_noise_alone(still: list[ClipFrame]) -> None:
    for before, after in itertools.pairwise(still):
        np.testing.assert_array_equal(after.landmarks, before.landmarks)
        assert after.bbox == before.bbox
        apart = after.image.astype(int) - before.image.astype(int)
        inner = apart[(before.image > 20) & (before.image < 235)]  # nothing clipped
        assert inner.std() == pytest.approx(NOISE * np.sqrt(2), rel=0.1)
        assert abs(inner.mean()) < 0.1


def test_a_moving_head_takes_its_landmarks_along(moving: list[ClipFrame]) -> None:
    first, last = moving[0], moving[-1]
    assert np.linalg.norm(last.landmarks - first.landmarks, axis=1).min() > 2
    apart = np.abs(last.image.astype(int) - first.image.astype(int)).mean(axis=2)
    x, y, w, h = map(round, last.bbox)
    inside = np.zeros(apart.shape, bool)
    inside[max(y, 0) : y + h, max(x, 0) : x + w] = True
    assert apart[inside].mean() > 5 * NOISE
    assert apart[:, :40].mean() < 2 * NOISE  # the room stays


def test_the_box_holds_the_landmarks(moving: list[ClipFrame]) -> None:
    for frame in moving:
        x, y, w, h = frame.bbox
        assert (frame.landmarks >= [x - 1, y - 1]).all()
        assert (frame.landmarks <= [x + w + 1, y + h + 1]).all()


def test_a_clip_is_the_same_whenever_it_is_filmed(head: HeadModel, moving: list[ClipFrame]) -> None:
    for one, other in zip(film(head, moving=True), moving, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
