"""The filter steadies a still head, lags by what it says, and keeps a head consistent."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.model import HeadModel
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.prediction import Predictor
from trans3dhead.reading.smoothing import POINTS, GroupFilter, HeadSmoother, OneEuro, Smoother
from trans3dhead.reading.tracking import Followed

from .conftest import squares

BOX = (50.0, 30.0, 40.0, 50.0)
FRAME = 1 / 30


@pytest.fixture
def still(predictor: Predictor) -> Prediction:
    return predictor(squares(120, 200, BOX), BOX)


@pytest.fixture
def trembling(still: Prediction, head: HeadModel) -> Callable[[np.random.Generator], Prediction]:
    """The head as a noisy network reads it: parameters and landmarks tremble."""

    def read(rng: np.random.Generator) -> Prediction:
        assert still.landmarks is not None
        params = still.params.copy()
        params[:400] += 0.2 * rng.normal(size=400).astype(np.float32)
        params[400:403] += 0.02 * rng.normal(size=3).astype(np.float32)  # the jaw, radians
        params[LAYOUT_413.translation][:2] += 0.02 * rng.normal(size=2)
        vertices = head.posed_vertices(params[None])[0]
        noisy = replace(still, params=params, vertices=vertices)
        return replace(
            noisy,
            projected=noisy.to_full_image().pixels(vertices),
            landmarks=still.landmarks + 0.5 * rng.normal(size=(68, 2)),
        )

    return read


def jitter(points: list[np.ndarray]) -> float:
    """Mean distance between the points of one frame and the next, pixels."""
    return float(np.linalg.norm(np.diff(np.stack(points), axis=0), axis=-1).mean())


def test_a_still_head_is_steadied(trembling: Callable[..., Prediction]) -> None:
    rng, smooth = np.random.default_rng(0), HeadSmoother()
    raw = [trembling(rng) for _ in range(60)]
    filtered = [smooth(head, FRAME) for head in raw]
    for points in (lambda head: head.landmarks, lambda head: head.projected):
        before = jitter([points(head) for head in raw])
        after = jitter([points(head) for head in filtered[15:]])
        assert before > 0.5
        assert after < 0.3 * before


def test_a_head_stays_consistent(trembling: Callable[..., Prediction], head: HeadModel) -> None:
    """Vertices are those of the filtered parameters, and the camera those of the pixels."""
    rng, smooth = np.random.default_rng(1), HeadSmoother()
    for _ in range(10):
        filtered = smooth(trembling(rng), FRAME)
    from_params = head.posed_vertices(filtered.params[None])[0]
    # the jaw turns, so vertices are not quite linear in all of it
    np.testing.assert_allclose(filtered.vertices, from_params, atol=2e-4)
    pixels = filtered.to_full_image().pixels(filtered.vertices)
    np.testing.assert_allclose(pixels, filtered.projected, atol=1e-3)
    turned = filtered.rotation.T @ filtered.rotation
    np.testing.assert_allclose(turned, np.eye(3), atol=1e-6)


def test_what_stands_still_passes_unchanged(still: Prediction) -> None:
    smooth = HeadSmoother()
    for _ in range(5):
        filtered = smooth(still, FRAME)
    assert filtered.landmarks is not None
    np.testing.assert_allclose(filtered.landmarks, still.landmarks, atol=1e-6)
    np.testing.assert_allclose(filtered.projected, still.projected, atol=1e-3)
    np.testing.assert_allclose(filtered.params, still.params, atol=1e-4)


@pytest.mark.parametrize("speed", [0.05, 0.5, 2.0])
def test_the_lag_is_what_the_cutoff_says_and_at_most_160_ms(speed: float) -> None:
    """Behind a steady movement the filter ends up 1 / (2 pi cutoff) seconds late."""
    follow = GroupFilter(POINTS)
    for frame in range(400):
        value = np.full(3, speed * frame * FRAME)
        lag = float((value - follow(value, FRAME))[0] / speed)
    assert lag == pytest.approx(1 / (2 * np.pi * follow.cutoff), rel=0.02)
    assert follow.cutoff >= POINTS.rest + POINTS.slope * speed
    assert lag < 0.16


def test_fast_movement_is_let_through_sooner() -> None:
    late, quick = GroupFilter(OneEuro(rest=1, slope=0)), GroupFilter(OneEuro(rest=1, slope=20))
    for value in (0.0, 1.0, 2.0, 3.0, 4.0):
        after = [f(np.array([value]), FRAME)[0] for f in (late, quick)]
    assert after[0] < 1.5
    assert after[1] > 3


def test_each_track_has_a_filter_of_its_own(still: Prediction) -> None:
    smooth = Smoother(FRAME)
    assert still.landmarks is not None
    other = replace(still, landmarks=still.landmarks + 40)

    def follow(track: int, head: Prediction) -> Followed:
        return Followed(track=track, head=head, doubt=False)

    smooth([follow(0, still), follow(1, other)])
    first, second = smooth([follow(0, still), follow(1, other)])
    np.testing.assert_allclose(second.head.landmarks - first.head.landmarks, 40, atol=1e-6)
    # a track that ended is forgotten: its number may start anew elsewhere
    smooth([follow(1, other)])
    (back,) = smooth([follow(0, other)])
    np.testing.assert_allclose(back.head.landmarks, other.landmarks, atol=1e-6)
