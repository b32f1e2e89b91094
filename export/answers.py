"""From the decoders' states to the outputs: landmarks, parameters, rotation, mesh. All float32.

Letters: B batch, N queries, P parameters, V vertices, d hidden width.
"""

# mypy: disable-error-code="no-any-return,no-untyped-call"
# torch leaves calls of modules and Tensor.split untyped

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.folding import affine, members
from trans3dhead.head.layout import LAYOUT_413, ParameterLayout
from trans3dhead.head.model import HeadModel
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.head.torch_rotation import rotation_from_six_d
from trans3dhead.network.regression import (
    DEFORMATION_LIMIT,
    MARR,
    DirectLandmarks,
    ParameterHead,
)


class Residuals(nn.Module):
    """MARR in crop pixels: the average face, all biases and the crop's size are in one constant."""

    face: Tensor

    def __init__(self, trained: MARR, size: int) -> None:
        super().__init__()
        heads = [affine(head) for head in members(trained.residual_heads, nn.Linear)]
        self.weights = nn.ParameterList(
            nn.Parameter((size * head.weight).float(), requires_grad=False) for head in heads
        )
        face = trained.average_face.detach().double() + sum(head.bias for head in heads)
        self.register_buffer("face", (size * face).float())  # [N, 2]

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """A layer's state each, [B*N, d] -> landmarks [B, N, 2] crop pixels."""
        residuals = sum(
            state @ weight for state, weight in zip(states, self.weights, strict=True)
        )  # [B*N, 2]
        return residuals.reshape(-1, *self.face.shape) + self.face


class Absolute(nn.Module):
    """Landmarks from the last layer alone, through a sigmoid, in crop pixels."""

    weight: Tensor
    bias: Tensor

    def __init__(self, trained: DirectLandmarks, size: int, landmarks: int) -> None:
        super().__init__()
        head = affine(trained.head)
        self.register_buffer("weight", head.weight.float())
        self.register_buffer("bias", head.bias.float())
        self.landmarks, self.size = landmarks, size

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """A layer's state each, [B*N, d] -> landmarks [B, N, 2] crop pixels."""
        rows = torch.addmm(self.bias, states[-1], self.weight).sigmoid() * self.size
        return rows.reshape(-1, self.landmarks, 2)


class Parameters(nn.Module):
    """The 3DMM head: one scalar a query, the shared bias and the prior in one constant."""

    weight: Tensor
    constant: Tensor

    def __init__(self, trained: ParameterHead) -> None:
        super().__init__()
        head = affine(trained.head)
        prior = trained.prior.double()
        self.sizes = (trained.deformations, len(prior) - trained.deformations)
        assert not prior[: trained.deformations].any(), "a prior inside tanh would be another one"
        self.register_buffer("weight", head.weight.float())  # [d, 1]
        self.register_buffer("constant", (prior + head.bias).float())  # [P]

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """A layer's state each, [B*P, d] -> params [B, P], 3 tanh applied, the prior added."""
        raw = (states[-1] @ self.weight).reshape(-1, len(self.constant)) + self.constant
        deformation, pose = raw.split(self.sizes, dim=1)
        return torch.cat((DEFORMATION_LIMIT * deformation.tanh(), pose), dim=1)


class Rotation(nn.Module):
    """Six numbers of the parameters to a rotation."""

    def __init__(self, layout: ParameterLayout) -> None:
        super().__init__()
        self.six = layout.rotation

    def forward(self, params: Tensor) -> Tensor:
        """[B, P] -> [B, 3, 3]."""
        return rotation_from_six_d(params[:, self.six])


class Mesh(nn.Module):
    """Skinning by the closed form, posing and projection."""

    def __init__(self, head: HeadModel, layout: ParameterLayout, size: int) -> None:
        super().__init__()
        self.head = TorchHead(head)
        self.layout = layout
        self.size = size

    def forward(self, params: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """[B, P] and [B, 3, 3] -> vertices [B, V, 3] posed metres, projected [B, V, 2] pixels."""
        full = self._widened(params)
        # vertices[b, v, i] = sum_j R[b, i, j] model[b, v, j]
        vertices = self.head.model_vertices(full) @ rotation.transpose(1, 2)
        return vertices, self.head.project(vertices, full, self.size)

    def _widened(self, params: Tensor) -> Tensor:
        """[B, P] -> [B, 413]; the directions left out are zero."""
        layout, full = self.layout, LAYOUT_413
        if layout == full:
            return params
        sizes = (layout.shape, layout.expression, layout.count - layout.shape - layout.expression)
        shape, expression, rest = params.split(sizes, dim=1)
        assert layout.jaw == 0, "a jaw of its own would stand between expression and rotation"
        return torch.cat(
            (
                F.pad(shape, (0, full.shape - layout.shape)),
                F.pad(expression, (0, full.expression - layout.expression + full.jaw)),
                rest,
            ),
            dim=1,
        )
