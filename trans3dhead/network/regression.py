"""From the decoders' states to numbers: landmarks (MARR or direct) and 3DMM parameters.

Letters: B batch, N queries, P parameters, L layers, d hidden width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trans3dhead.head.layout import ParameterLayout, prior

DEFORMATION_LIMIT = 3.0
"""Shape, expression and jaw lie within 3 standard deviations, as in DAD-3DNet (SPEC 2)."""
START_STD = 1e-3
"""Spread of the heads' first weights: training starts from the average face and from the prior."""


def _small_head(width: int, outputs: int) -> nn.Linear:
    head = nn.Linear(width, outputs)
    nn.init.normal_(head.weight, std=START_STD)
    nn.init.zeros_(head.bias)
    return head


class MARR(nn.Module):
    """Multi-layer additive residual regression (Eq. 5): landmarks = F_a + sum over layers of res_i.

    Args:
        average_face: [68, 2], F_a of Eq. 4, in [0, 1] of the crop, (x, y).
        learnable: whether F_a is trained (Table 4) or a fixed buffer.
    """

    average_face: Tensor

    def __init__(self, *, average_face: Tensor, learnable: bool, width: int, layers: int) -> None:
        super().__init__()
        if learnable:
            self.average_face = nn.Parameter(average_face)
        else:
            self.register_buffer("average_face", average_face)
        self.residual_heads = nn.ModuleList(_small_head(width, 2) for _ in range(layers))

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """L states [B, 68, d] -> landmarks [B, 68, 2] in [0, 1] of the crop, (x, y)."""
        landmarks = self.average_face
        for head, state in zip(self.residual_heads, states, strict=True):
            landmarks = landmarks + head(state)
        return landmarks


class DirectLandmarks(nn.Module):
    """Without MARR: the last layer alone gives absolute coordinates, through a sigmoid."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.head = _small_head(width, 2)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """L states [B, 68, d] -> landmarks [B, 68, 2] in [0, 1] of the crop, (x, y)."""
        return self.head(states[-1]).sigmoid()


class ParameterHead(nn.Module):
    """One scalar a query, by one head that all queries share; then limits and the fixed prior.

    The prior is a frontal rotation and a plausible scale: the six rotation numbers must never all
    be zero.
    """

    prior: Tensor

    def __init__(self, *, width: int, layout: ParameterLayout) -> None:
        super().__init__()
        self.head = _small_head(width, 1)
        self.deformations = layout.deformation.stop
        self.register_buffer("prior", torch.tensor(prior(layout)), persistent=False)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """L states [B, P, d] -> parameters [B, P] in the layout of SPEC 3."""
        raw = self.head(states[-1]).squeeze(2)  # [B, P]
        deformation, pose = raw[:, : self.deformations], raw[:, self.deformations :]
        return torch.cat((DEFORMATION_LIMIT * deformation.tanh(), pose), dim=1) + self.prior
