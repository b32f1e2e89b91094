"""Engines that answer an image otherwise in company than alone."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.parity.batches import compare_batches, sizes_of
from benchmarks.parity.gates import GATES, Judge
from engines.manifest import BatchProfile

IMAGES = np.arange(11, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
PROFILE = BatchProfile(min=1, opt=4, max=16)
Damage = Callable[[np.ndarray], None]


class Fake:
    """Answers an image with landmarks at its own number; `damage` sees the whole batch."""

    def __init__(self, damage: Damage, profile: BatchProfile) -> None:
        self.manifest = SimpleNamespace(profiles=(profile,))
        self.damage = damage
        self.batches: list[int] = []

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = inputs["image"]
        self.batches.append(len(batch))
        assert self.manifest.profiles[0].min <= len(batch) <= self.manifest.profiles[0].max
        landmarks = np.ones((1, 68, 2), np.float32) * batch[:, :1, :1, 0].astype(np.float32)
        self.damage(landmarks)
        return {"landmarks": landmarks}


def compared(damage: Damage, profile: BatchProfile = PROFILE):
    engine = Fake(damage, profile)
    answers = {"landmarks": np.ones((1, 68, 2), np.float32) * IMAGES[:, :1, :1, 0]}
    quantities, facts = compare_batches(engine, IMAGES, answers, 256)
    return {quantity.full_name: quantity.values.max() for quantity in quantities}, facts, engine


def nothing(landmarks: np.ndarray) -> None:
    """An honest engine."""


def test_an_honest_engine_moves_nothing() -> None:
    moved, facts, engine = compared(nothing)
    assert moved == {"landmarks/movement": 0}
    assert (facts.images, facts.sizes, facts.repeats_exactly) == (8, (3, 4, 16), True)
    assert set(engine.batches) == {1, 3, 4, 16}


@pytest.mark.parametrize(
    ("profiles", "sizes"),
    [
        ([(1, 1, 1)], (1,)),
        ([(1, 1, 8)], (1, 8)),
        ([(1, 8, 8)], (7, 8)),
        ([(5, 5, 5)], (5,)),
        ([(1, 2, 4), (5, 8, 16)], (1, 2, 4, 7, 8, 16)),
    ],
)
def test_every_profile_is_tried_at_its_sizes(profiles, sizes) -> None:
    made = tuple(BatchProfile(min=low, opt=opt, max=high) for low, opt, high in profiles)
    assert sizes_of(made) == sizes


def only_at_the_largest(landmarks: np.ndarray) -> None:
    if len(landmarks) == 16:
        landmarks[15] += 3


def only_in_a_ragged_batch(landmarks: np.ndarray) -> None:
    if len(landmarks) == 3:
        landmarks[2] += 3


def only_in_company(landmarks: np.ndarray) -> None:
    if len(landmarks) > 1:
        landmarks += 3


def by_position(landmarks: np.ndarray) -> None:
    landmarks[2:3] += 3


@pytest.mark.parametrize(
    "damage", [only_at_the_largest, only_in_a_ragged_batch, only_in_company, by_position]
)
def test_company_that_matters_is_found_and_fails_its_gate(damage: Damage) -> None:
    moved, _, _ = compared(damage)
    assert moved["landmarks/movement"] == pytest.approx(3 * np.sqrt(2))
    engine = Fake(damage, PROFILE)
    answers = {"landmarks": np.ones((1, 68, 2), np.float32) * IMAGES[:, :1, :1, 0]}
    (quantity,), _ = compare_batches(engine, IMAGES, answers, 256)
    gate = Judge.of({"landmarks/movement_batches": 1.0}, 11).batches(quantity)
    assert gate.name == "landmarks/movement_batches" and gate.name in GATES
    assert gate.verdict == "fail"


def test_the_last_image_of_a_ragged_batch_is_a_probe() -> None:
    engine = Fake(nothing, BatchProfile(min=1, opt=4, max=4))
    answers = {"landmarks": np.ones((1, 68, 2), np.float32) * IMAGES[:, :1, :1, 0]}
    answers["landmarks"][-1] += 5
    (quantity,), _ = compare_batches(engine, IMAGES, answers, 256)
    assert quantity.values.max() == pytest.approx(5 * np.sqrt(2))


def test_an_engine_of_one_size_answers_copies() -> None:
    moved, facts, engine = compared(by_position, BatchProfile(min=4, opt=4, max=4))
    assert set(engine.batches) == {4}
    assert facts.sizes == (4,)
    assert moved["landmarks/movement"] > 0


def test_answers_that_change_from_call_to_call_are_told() -> None:
    rng = np.random.default_rng(0)

    def noisy(landmarks: np.ndarray) -> None:
        landmarks += rng.normal(0, 1e-4, landmarks.shape)

    _, facts, _ = compared(noisy)
    assert not facts.repeats_exactly


def test_nan_at_one_size_alone_is_placed() -> None:
    def broken(landmarks: np.ndarray) -> None:
        if len(landmarks) == 16:
            landmarks[3, 0, 0] = np.nan

    moved, facts, _ = compared(broken)
    assert facts.not_finite == {"landmarks": 16}
    assert moved == {}
