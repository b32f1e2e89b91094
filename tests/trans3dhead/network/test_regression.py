"""From states to numbers: MARR's sum, the direct head, limits and prior of the 3DMM head."""

import numpy as np
import pytest
import torch
from torch import nn

from trans3dhead.head.layout import layout_of, prior
from trans3dhead.network.regression import MARR, DirectLandmarks, ParameterHead

B, N, D, LAYERS = 2, 68, 16, 3


@pytest.fixture
def states() -> list[torch.Tensor]:
    return [torch.randn(B, N, D) for _ in range(LAYERS)]


def marr(*, learnable: bool = False) -> MARR:
    return MARR(average_face=torch.rand(N, 2), learnable=learnable, width=D, layers=LAYERS)


def test_landmarks_are_the_average_face_plus_every_layers_residual(
    states: list[torch.Tensor],
) -> None:
    module = marr()
    for weight in module.parameters():
        nn.init.normal_(weight)
    weights = module.residual_heads.state_dict()
    residuals = [
        state @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        for layer, state in enumerate(states)
    ]
    expected = module.average_face + torch.stack(residuals).sum(0)
    torch.testing.assert_close(module(states), expected, rtol=1e-5, atol=1e-5)


def test_no_layer_is_left_out(states: list[torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        marr()(states[:-1])


def test_landmarks_start_next_to_the_average_face(states: list[torch.Tensor]) -> None:
    module = marr()
    assert (module(states) - module.average_face).abs().max() < 0.05


def test_a_fixed_average_face_is_a_buffer_and_a_learnable_one_a_parameter() -> None:
    fixed, learnable = marr(), marr(learnable=True)
    assert "average_face" in dict(fixed.named_buffers())
    assert "average_face" not in dict(fixed.named_parameters())
    assert "average_face" in dict(learnable.named_parameters())
    assert "average_face" in fixed.state_dict()
    assert "average_face" in learnable.state_dict()


def test_without_marr_the_last_layer_answers_within_the_crop(states: list[torch.Tensor]) -> None:
    module = DirectLandmarks(width=D)
    nn.init.normal_(module.head.weight, std=5)
    answer = module(states)
    assert answer.shape == (B, N, 2)
    assert 0 <= answer.min() < 0.1
    assert 0.9 < answer.max() <= 1
    assert torch.equal(answer, module([torch.zeros(B, N, D), states[-1]]))


@pytest.mark.parametrize("count", [60, 160, 413])
def test_parameters_are_limited_where_they_deform_and_raw_where_they_pose(count: int) -> None:
    layout = layout_of(count)
    module = ParameterHead(width=D, layout=layout)
    nn.init.normal_(module.head.weight, std=5)
    state = torch.randn(B, count, D)
    raw = module.head(state)[..., 0].detach().numpy()
    expected = raw + prior(layout)
    expected[:, layout.deformation] = 3 * np.tanh(raw[:, layout.deformation])
    found = module([state]).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert abs(found[:, layout.deformation]).max() <= 3 < abs(found).max()


def test_parameters_start_next_to_the_prior() -> None:
    layout = layout_of(413)
    module = ParameterHead(width=D, layout=layout)
    start = module([torch.randn(B, 413, D)]).detach().numpy()
    assert abs(start - prior(layout)).max() < 0.1
