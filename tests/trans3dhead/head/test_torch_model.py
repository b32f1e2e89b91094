"""The torch twins equal numpy (which equals smplx), have gradients, and export."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from trans3dhead.head import rotation, torch_rotation
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import HeadModel, project
from trans3dhead.head.torch_model import TorchHead


@pytest.fixture(scope="module")
def torch_head(head: HeadModel) -> TorchHead:
    return TorchHead(head)


def test_rotations_agree(params: np.ndarray) -> None:
    six, axis_angle = params[:, LAYOUT_413.rotation], params[:, LAYOUT_413.jaw_slice]
    turned = torch_rotation.rotation_from_six_d(torch.from_numpy(six))
    np.testing.assert_allclose(turned, rotation.rotation_from_six_d(six), atol=1e-6)
    angles = torch_rotation.euler_degrees(turned)
    np.testing.assert_allclose(angles, rotation.euler_degrees(turned.numpy()), atol=1e-4)
    bent = torch_rotation.rodrigues(torch.from_numpy(axis_angle))
    np.testing.assert_allclose(bent, rotation.rodrigues(axis_angle), atol=1e-6)


def test_vertices_agree(head: HeadModel, torch_head: TorchHead, params: np.ndarray) -> None:
    given = torch.from_numpy(params)
    still, posed = torch_head.model_vertices(given), torch_head.posed_vertices(given)
    assert np.abs(still.numpy() - head.model_vertices(params)).max() < 1e-6
    assert np.abs(posed.numpy() - head.posed_vertices(params)).max() < 1e-6
    landmarks = torch_head.landmarks68(posed)
    np.testing.assert_allclose(landmarks, head.landmarks68(posed.numpy()), atol=1e-6)
    pixels = torch_head.project(landmarks, given, 256)
    np.testing.assert_allclose(pixels, project(landmarks.numpy(), params, 256), atol=1e-3)


def test_gradient_is_finite_at_zero_jaw(torch_head: TorchHead) -> None:
    params = torch.from_numpy(prior(LAYOUT_413)[None]).requires_grad_()
    posed = torch_head.posed_vertices(params)
    angles = torch_rotation.euler_degrees(
        torch_rotation.rotation_from_six_d(params[:, LAYOUT_413.rotation])
    )
    (torch_head.project(posed, params, 256).sum() + angles.sum()).backward()
    assert params.grad is not None and params.grad.isfinite().all()
    assert params.grad[:, LAYOUT_413.jaw_slice].abs().min() > 0


def test_gradient_equals_finite_differences() -> None:
    given = torch.tensor([[0.2, -0.1, 0.3], [1e-4, 0, 0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torch_rotation.rodrigues, (given,))


def test_no_checkpoint_carries_the_basis(torch_head: TorchHead) -> None:
    assert torch_head.state_dict() == {}


class Deployed(nn.Module):
    """What a mesh graph does with the head."""

    def __init__(self, head: TorchHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        posed = self.head.posed_vertices(params)
        return posed, self.head.project(self.head.landmarks68(posed), params, 256)


def test_export_to_onnx(torch_head: TorchHead, params: np.ndarray, tmp_path: Path) -> None:
    module = Deployed(torch_head).eval()
    program = torch.onnx.export(
        module,
        (torch.from_numpy(params[:2]),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=20,
        verbose=False,
    )
    assert program is not None
    program.save(tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "head.onnx", providers=["CPUExecutionProvider"]
    )
    for count in (1, 3):
        posed, pixels = session.run(None, {session.get_inputs()[0].name: params[:count]})
        eager_posed, eager_pixels = module(torch.from_numpy(params[:count]))
        np.testing.assert_allclose(posed, eager_posed, atol=1e-6)
        np.testing.assert_allclose(pixels, eager_pixels, atol=1e-3)
