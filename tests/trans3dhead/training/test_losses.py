"""Each loss against loops written from SPEC 4."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import layout_of, prior
from trans3dhead.head.model import project
from trans3dhead.head.rotation import euler_degrees as numpy_euler_degrees
from trans3dhead.head.rotation import rotation_from_euler, rotation_from_six_d
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.training.config import TrainingConfig
from trans3dhead.training.label_cache import SHAPE_SUBSET
from trans3dhead.training.losses import (
    MultiTaskLoss,
    Truth,
    euler_loss,
    landmark_loss,
    loss_weights,
    reprojection_loss,
    shape_loss,
    wrap_degrees,
)

HEAD = builtin_head()
SUBSET = HEAD.subsets[SHAPE_SUBSET]


def smooth_l1(difference: float) -> float:
    size = abs(difference)
    return 0.5 * size * size if size < 1 else size - 0.5


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def criterion(parameters: int = 413, **weights: float) -> MultiTaskLoss:
    return MultiTaskLoss(
        head=TorchHead(HEAD),
        layout=layout_of(parameters),
        subset=SUBSET,
        image_size=128,
        weights=weights or loss_weights(TrainingConfig(), single_task=False),
    )


def random_truth(batch: int) -> Truth:
    return Truth(
        landmarks=random(batch, 68, 2, seed=1),
        presence=random(batch, 68, seed=2) > 0,
        vertices=0.1 * random(batch, len(SUBSET), 3, seed=3),
        projected=50 * random(batch, len(SUBSET), 2, seed=4),
        euler=60 * random(batch, 3, seed=5),
    )


def random_outputs(batch: int, parameters: int = 413) -> dict[str, Tensor]:
    start = torch.from_numpy(prior(layout_of(parameters)))
    params = start + 0.1 * random(batch, parameters, seed=6)
    return {"landmarks": random(batch, 68, 2, seed=7), "params": params}


def test_landmarks_are_summed_over_present_ones_and_divided_by_all() -> None:
    predicted, target = 2 * random(3, 68, 2), random(3, 68, 2, seed=1)
    presence = random(3, 68, seed=2) > 0
    total = 0.0
    for b in range(3):
        for landmark in range(68):
            for axis in range(2):
                if presence[b, landmark]:
                    place = (b, landmark, axis)
                    total += smooth_l1(float(predicted[place] - target[place]))
    found = float(landmark_loss(predicted, target, presence))
    assert found == pytest.approx(total / (3 * 68 * 2), rel=1e-5)


def test_an_absent_landmark_adds_nothing_however_far_it_is() -> None:
    target = random(2, 68, 2)
    presence = torch.ones(2, 68, dtype=torch.bool)
    presence[0, 5] = False
    moved = target.clone()
    moved[0, 5] += 1e4
    assert landmark_loss(moved, target, presence) == 0
    moved[0, 6] += 2
    assert float(landmark_loss(moved, target, presence)) == pytest.approx(2 * 1.5 / (2 * 68 * 2))


def test_shape_compares_meshes_in_boxes_of_their_own() -> None:
    def boxed(mesh: np.ndarray) -> np.ndarray:
        mesh = mesh.copy()
        for axis in range(3):
            mesh[:, axis] -= min(mesh[:, axis])
        for axis in range(3):
            mesh[:, axis] -= 0.5 * max(mesh[:, axis])
        return mesh / max(max(mesh[:, axis]) for axis in range(3))

    predicted, target = random(2, 50, 3), random(2, 50, 3, seed=1)
    squares = [
        (boxed(p) - boxed(t)) ** 2
        for p, t in zip(predicted.double().numpy(), target.double().numpy(), strict=True)
    ]
    found = float(shape_loss(predicted, target))
    assert found == pytest.approx(np.sum(squares) / (2 * 50 * 3), rel=1e-4)


def test_shape_ignores_place_and_size_but_not_proportions() -> None:
    mesh = random(2, 50, 3)
    assert float(shape_loss(3 * mesh + 5, mesh)) == pytest.approx(0, abs=1e-9)
    assert float(shape_loss(mesh * torch.tensor([1.0, 1.0, 1.2]), mesh)) > 1e-4


def test_reprojection_is_the_mean_smooth_l1_of_pixels() -> None:
    predicted, target = 3 * random(2, 40, 2), random(2, 40, 2, seed=1)
    values = [smooth_l1(float(d)) for d in (predicted - target).flatten()]
    assert float(reprojection_loss(predicted, target)) == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize(
    ("predicted", "target", "difference"),
    [(10.0, 7.0, 3.0), (179.0, -179.0, -2.0), (-170.0, 175.0, 15.0), (180.0, 0.0, 180.0)],
)
def test_angles_differ_the_short_way_round(
    predicted: float, target: float, difference: float
) -> None:
    angles = torch.tensor([[predicted, 0.0, 0.0]], requires_grad=True)
    loss = euler_loss(angles, torch.tensor([[target, 0.0, 0.0]]))
    assert float(loss.detach()) == pytest.approx(smooth_l1(difference) / 3)
    (gradient,) = torch.autograd.grad(loss, angles)
    assert float(gradient[0, 0]) == pytest.approx(math.copysign(1 / 3, difference))


def test_wrapped_angles_lie_above_minus_180_and_up_to_180() -> None:
    angles = torch.tensor([-540.0, -180.0, 180.0, 181.0, 359.0, 720.0])
    assert wrap_degrees(angles).tolist() == [180, 180, 180, -179, -1, 0]


def test_all_four_parts_as_numpy_computes_them() -> None:
    truth, outputs = random_truth(2), random_outputs(2)
    losses = criterion()(outputs, truth)
    params = outputs["params"].numpy()
    rotation = rotation_from_six_d(params[:, 403:409])
    vertices = HEAD.model_vertices(params)[:, SUBSET]
    projected = project(HEAD.posed_vertices(params), params, 128)[:, SUBSET]
    euler = torch.from_numpy(numpy_euler_degrees(rotation))
    expected = {
        "landmarks": landmark_loss(outputs["landmarks"], truth.landmarks, truth.presence),
        "shape": shape_loss(torch.from_numpy(vertices), truth.vertices),
        "reprojection": reprojection_loss(torch.from_numpy(projected), truth.projected),
        "euler": euler_loss(euler, truth.euler),
    }
    assert losses.table() == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-4)
    weights = {"landmarks": 300, "shape": 50, "reprojection": 0.05, "euler": 0.05}
    total = sum(weights[name] * float(part) for name, part in expected.items())
    assert float(losses.total) == pytest.approx(total, rel=1e-4)


def test_the_truth_itself_costs_nothing() -> None:
    outputs = random_outputs(2)
    params = outputs["params"].numpy()
    truth = Truth(
        landmarks=outputs["landmarks"],
        presence=torch.ones(2, 68, dtype=torch.bool),
        vertices=torch.from_numpy(HEAD.model_vertices(params)[:, SUBSET]),
        projected=torch.from_numpy(project(HEAD.posed_vertices(params), params, 128)[:, SUBSET]),
        euler=torch.from_numpy(numpy_euler_degrees(rotation_from_six_d(params[:, 403:409]))),
    )
    assert float(criterion()(outputs, truth).total) == pytest.approx(0, abs=1e-5)


def test_single_task_networks_and_switched_off_angles_leave_their_parts_out() -> None:
    weights = loss_weights(TrainingConfig(euler=False), single_task=True)
    assert list(weights) == ["shape", "reprojection"]
    losses = criterion(**weights)({"params": random_outputs(2)["params"]}, random_truth(2))
    assert sorted(losses.parts) == ["reprojection", "shape"]


@pytest.mark.parametrize("parameters", [60, 160])
def test_shorter_parameter_vectors_are_widened_with_zeros(parameters: int) -> None:
    outputs = random_outputs(2, parameters)
    full = torch.zeros(2, 413)
    full[:, torch.from_numpy(layout_of(parameters).full_index)] = outputs["params"]
    truth = random_truth(2)
    short = criterion(parameters)(outputs, truth)
    wide = criterion()({**outputs, "params": full}, truth)
    assert float(short.total) == pytest.approx(float(wide.total))


@pytest.mark.parametrize("yaw", [0.0, 89.999, 90.0])
def test_gradients_are_finite_at_the_start_at_a_closed_jaw_and_in_profile(yaw: float) -> None:
    params = torch.from_numpy(prior(layout_of(413))).repeat(2, 1)
    rotation = rotation_from_euler(np.array([0.0, yaw, 0.0], np.float32))
    params[:, 403:409] = torch.from_numpy(rotation[:, :2].T.reshape(-1))
    params.requires_grad_()
    landmarks = torch.full((2, 68, 2), 0.5, requires_grad=True)
    total = criterion()({"landmarks": landmarks, "params": params}, random_truth(2)).total
    total.backward()
    assert torch.isfinite(total)
    assert params.grad is not None and torch.isfinite(params.grad).all()
    assert landmarks.grad is not None and landmarks.grad.abs().sum() > 0


def test_half_precision_answers_are_compared_in_float32() -> None:
    outputs = {name: value.bfloat16() for name, value in random_outputs(2).items()}
    losses = criterion()(outputs, random_truth(2))
    assert losses.total.dtype == torch.float32
