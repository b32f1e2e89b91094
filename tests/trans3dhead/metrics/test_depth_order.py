import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.metrics import GroundTruth, Predicted
from trans3dhead.metrics.depth_order import (
    defined_order,
    published_order,
    z5_defined,
    z5_published,
)

SUBSET = 3669


@pytest.fixture(scope="module")
def head_sized(
    head, truth: GroundTruth, predicted: Predicted
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted z [3669], true vertices [3669, 3], model view [4, 4]."""
    assert predicted.vertices is not None
    subset = head.subset_head_with_ears
    return predicted.vertices[0][subset, 2], truth.vertices[0][subset], truth.model_view[0]


@pytest.fixture
def small() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    vertices = rng.normal(size=(40, 3))
    model_view = np.eye(4)
    model_view[:3, 3] = [0.2, 0.1, -3]
    return -vertices[:, 2] + rng.normal(scale=0.3, size=40), vertices, model_view


def agreement_by_loops(predicted_z, true_z, table) -> float:
    hits = 0
    for i, row in enumerate(table):
        for other in row:
            hits += (true_z[i] >= true_z[other]) == (predicted_z[i] >= predicted_z[other])
    return hits / np.size(table)


def test_published_equals_the_formula_written_out(head_sized):
    """argsort(D, axis=0)[:, 1:6] of the whole matrix, and torch.cdist itself in float32."""
    import torch

    predicted_z, vertices, model_view = head_sized
    homogeneous = np.concatenate([vertices, np.ones((SUBSET, 1))], axis=1).astype(np.float32)
    camera = -torch.from_numpy((model_view.astype(np.float32) @ homogeneous.T).T[:, :3].copy())
    distances = torch.cdist(camera, camera)
    assert distances.shape == (SUBSET, SUBSET) and distances.dtype == torch.float32
    table = torch.argsort(distances, dim=0, stable=True)[:, 1:6].numpy()
    expected = agreement_by_loops(predicted_z.astype(np.float32), camera[:, 2].numpy(), table)
    assert 0.6 < expected < 0.999
    assert z5_published(predicted_z, vertices, model_view) == pytest.approx(expected, rel=1e-6)


def test_published_follows_float32_where_it_can_no_longer_tell(head_sized):
    """Far from the camera float32 merges distances; the score moves with the published code's."""
    import torch

    predicted_z, vertices, model_view = head_sized
    far = model_view.copy()
    far[:3, 3] = [0.3, 0.1, -20]
    homogeneous = np.concatenate([vertices, np.ones((SUBSET, 1))], axis=1).astype(np.float32)
    camera = -torch.from_numpy((far.astype(np.float32) @ homogeneous.T).T[:, :3].copy())
    table = torch.argsort(torch.cdist(camera, camera)[:, 1:6], dim=0, stable=True).numpy()
    expected = agreement_by_loops(predicted_z.astype(np.float32), camera[:, 2].numpy(), table)
    ours = z5_published(predicted_z, vertices, far)
    assert ours == pytest.approx(expected, rel=1e-6)
    assert abs(ours - z5_published(predicted_z, vertices, model_view)) > 1e-4


def test_defined_equals_the_definition_in_loops(small):
    predicted_z, vertices, model_view = small
    camera = vertices + model_view[:3, 3]
    table = []
    for i, here in enumerate(camera.tolist()):
        others = [
            (sum((a - b) ** 2 for a, b in zip(here, there, strict=True)), k)
            for k, there in enumerate(camera.tolist())
            if k != i
        ]
        table.append([k for _, k in sorted(others)[:5]])
    expected = agreement_by_loops(predicted_z, -camera[:, 2], table)
    assert 0 < expected < 1
    assert z5_defined(*small) == pytest.approx(expected, rel=1e-12)


def test_defined_equals_the_formula_written_out_at_full_size(head_sized):
    predicted_z, vertices, model_view = head_sized
    camera = vertices.astype(np.float64) @ model_view[:3, :3].T + model_view[:3, 3]
    squares = sum((camera[:, None, c] - camera[None, :, c]) ** 2 for c in range(3))
    table = np.argsort(squares, axis=1)[:, 1:6]
    expected = agreement_by_loops(predicted_z.astype(np.float64), -camera[:, 2], table)
    assert z5_defined(*head_sized) == pytest.approx(expected, rel=1e-6)


def test_the_two_kinds_differ(head_sized):
    assert z5_published(*head_sized) - z5_defined(*head_sized) > 0.05


@pytest.mark.parametrize("z5", [z5_published, z5_defined])
def test_known_answers(z5, small):
    _, vertices, model_view = small
    depth = -(vertices[:, 2] + model_view[2, 3])
    assert z5(depth, vertices, model_view) == 1
    assert z5(10 * depth + 3, vertices, model_view) == 1  # the order alone counts
    behind = z5(-depth, vertices, model_view)  # z negated: only a vertex against itself agrees
    assert behind <= 5 / 200


@pytest.mark.parametrize(
    ("z5", "order"), [(z5_published, published_order), (z5_defined, defined_order)]
)
def test_a_collapsed_prediction_has_the_stated_value(z5, order, small):
    """Equal depths count as "not nearer": right wherever the truth's first vertex is not nearer."""
    _, vertices, model_view = small
    stated = order(vertices, model_view).behind.mean()
    assert 0.2 < stated < 0.8
    assert z5(np.full(40, 0.3), vertices, model_view) == stated


def test_defined_on_a_row_of_points_by_hand():
    """Seven points along z; the last two change places: 2 of 35 pairs are wrong."""
    vertices = np.array([[0, 0, -z] for z in (0.0, 1.0, 2.1, 3.3, 4.6, 6.0, 7.5)])
    depth = -vertices[:, 2]
    swapped = depth[[0, 1, 2, 3, 4, 6, 5]]
    assert z5_defined(depth, vertices, np.eye(4)) == 1
    assert z5_defined(swapped, vertices, np.eye(4)) == pytest.approx(33 / 35)


def test_vertices_in_one_place_are_neighbours_of_each_other_not_of_themselves():
    rng = np.random.default_rng(0)
    vertices = np.concatenate([np.zeros((9, 3)), rng.normal(size=(20, 3)) + 5])
    depth = -vertices[:, 2]
    assert z5_defined(depth, vertices, np.eye(4)) == 1


@pytest.mark.parametrize("z5", [z5_published, z5_defined])
def test_a_collapsed_truth_is_refused(z5):
    with pytest.raises(UserError, match="all vertices of the ground truth coincide"):
        z5(np.arange(20.0), np.full((20, 3), 0.1), np.eye(4))
