"""Rotations in torch: the differentiable, exportable twins of `rotation` (SPEC 3, 4)."""

import torch
from torch import Tensor

TINY = 1e-12
"""Under a square root, so that its gradient at 0 is 0 and not infinite."""
GENERATORS = torch.tensor(
    [
        [0, 0, 0, 0, 0, -1, 0, 1, 0],
        [0, 0, 1, 0, 0, 0, -1, 0, 0],
        [0, -1, 0, 1, 0, 0, 0, 0, 0],
    ]
)
"""[3, 9]: row by row, the matrix of the cross product with each axis of space."""


def _unit(vectors: Tensor) -> Tensor:
    return vectors * torch.rsqrt((vectors * vectors).sum(dim=-1, keepdim=True) + TINY)


def rotation_from_six_d(six: Tensor) -> Tensor:
    """Rotation [..., 3, 3] from two column vectors a, b [..., 6] (SPEC 3 step 2)."""
    first = _unit(six[..., :3])
    third = _unit(torch.linalg.cross(first, six[..., 3:]))
    second = torch.linalg.cross(third, first)
    return torch.stack([first, second, third], dim=-1)


def euler_degrees(rotation: Tensor) -> Tensor:
    """(pitch, yaw, roll) in degrees [..., 3] of [..., 3, 3]; frontal is 0, 0, 0 (SPEC 4)."""
    r00, r01, r02 = (rotation[..., 0, column] for column in range(3))
    pitch = torch.atan2(-rotation[..., 1, 2], -rotation[..., 2, 2])
    yaw = torch.atan2(-r02, torch.sqrt(r00 * r00 + r01 * r01 + TINY))
    roll = torch.atan2(r01, r00)
    return torch.rad2deg(torch.stack([pitch, yaw, roll], dim=-1))


def rodrigues(axis_angle: Tensor) -> Tensor:
    """Rotation [..., 3, 3] from axis times angle in radians [..., 3]; smooth at 0."""
    angle = torch.sqrt((axis_angle * axis_angle).sum(dim=-1, keepdim=True) + TINY)
    half = torch.sin(angle / 2) / angle
    linear, square = torch.sin(angle) / angle, 2 * half * half
    # cross[..., i, j] = sum_k a[..., k] G[k, i, j]; a sum of constants, for zeros made like `a`
    # would leave a Shape and an Expand in a graph of open batch
    cross = (axis_angle[..., None] * GENERATORS.to(axis_angle)).sum(dim=-2)  # [..., 9]
    cross = cross.unflatten(-1, (3, 3))  # [..., 3, 3]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + linear[..., None] * cross + square[..., None] * (cross @ cross)
