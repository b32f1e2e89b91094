"""The four losses (SPEC 4; Eq. 6 to 8 of the paper) and their weighted sum.

B images, P parameters, V vertices, H of them in the "head" subset, S the crop's side in pixels.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from trans3dhead.head.layout import LAYOUT_413, ParameterLayout
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.head.torch_rotation import euler_degrees, rotation_from_six_d
from trans3dhead.training.config import TrainingConfig


class Truth(NamedTuple):
    """What the network's answer is compared with."""

    landmarks: Tensor
    """[B, 68, 2] float32 (x, y) in [0, 1] of the crop; outside it where the crop cuts the face."""
    presence: Tensor
    """[B, 68] bool: strictly inside the crop before resizing."""
    vertices: Tensor
    """[B, H, 3] float32 model space, metres: with expression and jaw, without rotation."""
    projected: Tensor
    """[B, H, 2] float32 crop pixels: the same vertices through the annotated camera."""
    euler: Tensor
    """[B, 3] float32 (pitch, yaw, roll), degrees."""


class Losses(NamedTuple):
    """The weighted sum and what it is made of."""

    total: Tensor
    """Scalar, differentiable."""
    parts: dict[str, Tensor]
    """Name to scalar, before the weight."""

    def table(self) -> dict[str, float]:
        """The parts as numbers."""
        return {name: float(part.detach()) for name, part in self.parts.items()}


def landmark_loss(predicted: Tensor, target: Tensor, presence: Tensor) -> Tensor:
    """Smooth L1 of [B, 68, 2] landmarks in [0, 1] of the crop; an absent one adds 0.

    The divisor is B * 68 * 2 whatever the presence [B, 68] says.
    """
    present = presence[..., None].to(predicted.dtype)
    return F.smooth_l1_loss(predicted * present, target * present)


def shape_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of [B, H, 3] model-space vertices, each mesh in a unit box of its own.

    Where a mesh stands and how large it is do not count; its proportions do.
    """
    return F.mse_loss(_in_unit_box(predicted), _in_unit_box(target))


def reprojection_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 of [B, H, 2] vertices in crop pixels, inside the crop or not."""
    return F.smooth_l1_loss(predicted, target)


def euler_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 of [B, 3] angles in degrees, the difference taken the short way round."""
    difference = wrap_degrees(predicted - target)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference))


def wrap_degrees(degrees: Tensor) -> Tensor:
    """The same angles within (-180, 180]; the gradient is 1."""
    return 180 - torch.remainder(180 - degrees, 360)


def _in_unit_box(vertices: Tensor) -> Tensor:
    """Each mesh of [B, H, 3] less its minimum, then less half its maximum, over its largest value.

    One number divides all three axes, so that proportions stay.
    """
    vertices = vertices - vertices.amin(dim=1, keepdim=True)
    vertices = vertices - 0.5 * vertices.amax(dim=1, keepdim=True)
    return vertices / vertices.amax(dim=(1, 2), keepdim=True)


class MultiTaskLoss(nn.Module):
    """From the network's answer to the weighted sum of the losses that take part (Eq. 8).

    Args:
        head: turns parameters into vertices; it has nothing to train.
        layout: which parameters the network gives.
        subset: [H] indices of the vertices that count.
        image_size: S.
        weights: the losses that take part, by name; see `loss_weights`.
    """

    full_index: Tensor
    subset: Tensor

    def __init__(
        self,
        *,
        head: TorchHead,
        layout: ParameterLayout,
        subset: NDArray[np.integer],
        image_size: int,
        weights: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.head = head
        self.image_size = image_size
        self.weights = dict(weights)
        self.register_buffer("full_index", torch.tensor(layout.full_index), persistent=False)
        self.register_buffer("subset", torch.tensor(subset, dtype=torch.int64), persistent=False)

    def forward(self, outputs: Mapping[str, Tensor], truth: Truth) -> Losses:
        """Compare a batch.

        Args:
            outputs: the network's: "params" [B, P] and, unless it is single-task, "landmarks"
                [B, 68, 2] in [0, 1] of the crop. Geometry and sums are made in float32.
            truth: what is right.
        """
        params = self._to_full(outputs["params"].float())  # [B, 413]
        rotation = rotation_from_six_d(params[:, LAYOUT_413.rotation])  # [B, 3, 3]
        vertices = self.head.model_vertices(params)[:, self.subset]  # [B, H, 3]
        # posed[b, h, i] = sum_j R[b, i, j] vertices[b, h, j]
        posed = vertices @ rotation.transpose(1, 2)
        parts = {
            "shape": shape_loss(vertices, truth.vertices),
            "reprojection": reprojection_loss(
                self.head.project(posed, params, self.image_size), truth.projected
            ),
        }
        if "landmarks" in self.weights:
            landmarks = outputs["landmarks"].float()
            parts["landmarks"] = landmark_loss(landmarks, truth.landmarks, truth.presence)
        if "euler" in self.weights:
            parts["euler"] = euler_loss(euler_degrees(rotation), truth.euler)
        total = torch.stack([weight * parts[name] for name, weight in self.weights.items()]).sum()
        return Losses(total, parts)

    def _to_full(self, params: Tensor) -> Tensor:
        """[B, P] -> [B, 413]; the directions left out are zero."""
        full = params.new_zeros(params.shape[0], LAYOUT_413.count)
        return full.index_copy(1, self.full_index, params)


def loss_weights(config: TrainingConfig, *, single_task: bool) -> dict[str, float]:
    """Name to weight of the losses that take part in a configuration."""
    weights = {
        "landmarks": 0.0 if single_task else config.landmark_weight,
        "shape": config.shape_weight,
        "reprojection": config.reprojection_weight,
        "euler": config.euler_weight if config.euler else 0.0,
    }
    return {name: weight for name, weight in weights.items() if weight > 0}
