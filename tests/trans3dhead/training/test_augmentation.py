"""Harder crops: labels follow the pixels, and what is drawn follows from seed, epoch and item."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.rotation import FRONTAL, euler_degrees, wrap_degrees
from trans3dhead.presets import Preset
from trans3dhead.training.augmentation import Turn, change_colours
from trans3dhead.training.config import Augmentation, TrainingConfig, changed
from trans3dhead.training.label_cache import SHAPE_SUBSET
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.loop import Training
from trans3dhead.training.samples import CropSamples, EpochOrder, training_batches

SIZE = 128
HARD = Augmentation(rotate=40, recolour=1, occlude=1)


@pytest.mark.parametrize("degrees", [0.0, 12.0, -35.0, 90.0])
def test_a_turned_pixel_is_where_its_point_is(degrees: float) -> None:
    turn, rng = Turn(degrees, SIZE), np.random.default_rng(0)
    for x, y in rng.uniform(40, 88, (8, 2)):
        crop = np.zeros((SIZE, SIZE, 3), np.uint8)
        rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
        bell = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
        crop[:] = bell[..., None].astype(np.uint8)
        weight = turn.image(crop)[..., 0].astype(float)
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        np.testing.assert_allclose(found, turn.points(np.array([x, y])), atol=0.1)


def test_a_quarter_turn_moves_whole_pixels() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Turn(90, SIZE).image(crop), np.rot90(crop, -1))  # clockwise
    right_of_centre = np.array([SIZE / 2 + 10, SIZE / 2])
    below = Turn(90, SIZE).points(right_of_centre)
    np.testing.assert_allclose(below, [SIZE / 2, SIZE / 2 + 10], atol=1e-9)


def test_the_posed_head_turns_with_the_picture(heads: LabelledHeads) -> None:
    vertices = heads.vertices[0].astype(np.float64)
    for degrees in (-30.0, 7.5, 30.0):
        turn = Turn(degrees, SIZE)
        before = vertices @ heads.rotation[0].T
        after = vertices @ turn.rotation(heads.rotation[0]).T
        np.testing.assert_allclose(after[:, :2], before[:, :2] @ turn.matrix.T, atol=1e-12)
        np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-12)
        np.testing.assert_allclose(euler_degrees(turn.rotation(FRONTAL)), [0, 0, degrees])


def test_landmarks_mesh_and_pose_turn_as_one(heads: LabelledHeads) -> None:
    plain = CropSamples(heads, SIZE, 1)
    turned = CropSamples(heads, SIZE, 1, Augmentation(rotate=40))
    for item in range(6):
        before, after = plain[0, item].truth, turned[0, item].truth
        turn = Turn(angle_between(before.landmarks.numpy(), after.landmarks.numpy()), SIZE)
        assert 0 < abs(turn.degrees) <= 40
        for name, scale in (("landmarks", SIZE), ("projected", 1)):
            wanted = turn.points(getattr(before, name).numpy() * scale)
            np.testing.assert_allclose(getattr(after, name).numpy() * scale, wanted, atol=0.01)
        wanted = euler_degrees(turn.rotation(heads.rotation[item]))
        np.testing.assert_allclose(wrap_degrees(after.euler.numpy() - wanted), 0, atol=0.01)
        assert torch.equal(after.vertices, before.vertices)  # model space does not turn
        outside = ((after.landmarks <= 0) | (after.landmarks >= 1)).any(dim=1)
        assert not (after.presence & outside).any()


def angle_between(before: np.ndarray, after: np.ndarray) -> float:
    """Degrees by which points [n, 2] in [0, 1] turned about the centre."""
    first, second = (points @ [1, 1j] - (0.5 + 0.5j) for points in (before, after))
    return float(np.degrees(np.angle((first.conj() * second).sum())))


def test_the_turned_mesh_still_carries_the_turned_landmarks(heads: LabelledHeads) -> None:
    head = builtin_head()
    place = {vertex: row for row, vertex in enumerate(head.subsets[SHAPE_SUBSET].tolist())}
    truth = CropSamples(heads, SIZE, 1, Augmentation(rotate=40))[2, 3].truth
    inside = [i for i, corners in enumerate(head.landmark_triangles) if set(corners) <= set(place)]
    assert len(inside) > 40
    for landmark in inside:
        rows = [place[vertex] for vertex in head.landmark_triangles[landmark]]
        weights = torch.from_numpy(head.landmark_barycentric[landmark])
        point = (truth.projected[rows] * weights[:, None]).sum(dim=0)
        assert torch.allclose(point, truth.landmarks[landmark] * SIZE, atol=0.04)


def test_only_the_pixels_change_where_nothing_turns(heads: LabelledHeads) -> None:
    plain = CropSamples(heads, SIZE, 1)[0, 2]
    changed_one = CropSamples(heads, SIZE, 1, replace(HARD, rotate=0.0))[0, 2]
    assert not np.array_equal(plain.image, changed_one.image)
    for name, value in plain.truth._asdict().items():
        assert torch.equal(value, getattr(changed_one.truth, name))


def test_a_patch_covers_a_part_and_no_more() -> None:
    crop = np.full((SIZE, SIZE, 3), 77, np.uint8)
    for seed in range(20):
        covered = change_colours(crop, Augmentation(occlude=1), np.random.default_rng(seed))
        share = (covered != crop).any(axis=2).mean()
        assert 0.01 < share < 0.25


def test_evaluation_crops_are_never_changed(heads: LabelledHeads) -> None:
    plain, hard = CropSamples(heads, SIZE, None), CropSamples(heads, SIZE, None, HARD)
    assert np.array_equal(plain[0, 1].image, hard[0, 1].image)


def test_what_is_drawn_follows_from_seed_epoch_and_item(heads: LabelledHeads) -> None:
    samples = CropSamples(heads, SIZE, 1, HARD)
    assert np.array_equal(samples[3, 7].image, CropSamples(heads, SIZE, 1, HARD)[3, 7].image)
    assert not np.array_equal(samples[3, 7].image, samples[4, 7].image)
    order = EpochOrder(items=len(heads), batch=4, seed=1, steps=3)
    runs = [list(training_batches(samples, order, workers=workers)) for workers in (0, 2)]
    for one, other in zip(*runs, strict=True):
        assert torch.equal(torch.as_tensor(one.image), torch.as_tensor(other.image))
        assert torch.equal(one.truth.projected, other.truth.projected)


def test_a_configuration_asks_for_it(small: Preset, heads: LabelledHeads) -> None:
    asked = changed(small.training, ["augmentation.rotate=30", "augmentation.occlude=0.2"])
    assert asked.augmentation == Augmentation(rotate=30, occlude=0.2)
    assert TrainingConfig().augmentation == Augmentation()
    losses = []
    for config in (small.training, asked):
        training = Training(
            replace(small, training=replace(config, samples=80)), builtin_head(), heads
        )
        losses += [p.line["loss"] for p in training.steps() if p.line is not None]
    assert len(losses) == 2 and losses[0] != losses[1]


@pytest.mark.parametrize("wrong", [{"rotate": -1.0}, {"rotate": 181.0}, {"recolour": 1.5}])
def test_shares_and_angles_have_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"augmentation.{next(iter(wrong))} is"):
        Augmentation(**wrong)
