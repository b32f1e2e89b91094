"""Shadows of a mesh: where light from all around reaches it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.mesh.normals import Vectors, unit
from trans3dhead.mesh.rasterise import rasterise

Field = NDArray[np.float32]

_PROBE_COUNT = 64
_PROBE_SIDE = 144  # pixels of the depth maps
_BIAS = 0.004  # metres a surface may lie behind its own depth map and still be lit
_SPREAD = float(np.cos(np.radians(32)))  # probes further from a light do not speak for it


@dataclass(frozen=True, eq=False)
class Shadows:
    """Which vertices light reaches from all around, looked up once on a template.

    Shape and expression hardly change where shadows fall, and one look at a table takes a fiftieth
    of the time of a depth map.
    """

    directions: Vectors
    """[K, 3] unit, model space, spread evenly over the sphere."""
    lit: NDArray[np.float32]
    """[K, V] 0 to 1: how much of a far light in that direction reaches the vertex."""
    sky: Field
    """[V] 0 to 1: the share of light from all around that arrives (ambient occlusion)."""

    @classmethod
    def of(cls, vertices: Vectors, faces: NDArray[np.int32], normals: Vectors) -> "Shadows":
        """Cast the shadows of vertices [V, 3] with unit normals [V, 3]."""
        turn = np.arange(_PROBE_COUNT) * np.pi * (3 - np.sqrt(5))  # the golden angle
        z = 1 - (2 * np.arange(_PROBE_COUNT) + 1) / _PROBE_COUNT
        ring = np.sqrt(1 - z**2)
        directions = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], -1).astype(np.float32)
        lit = np.stack([_lit(vertices, faces, direction) for direction in directions])
        cosine = np.maximum(directions @ normals.T, 0)  # [K, V]
        sky = (cosine * lit).sum(axis=0) / np.maximum(cosine.sum(axis=0), 1e-6)
        return cls(directions, lit, sky.astype(np.float32))

    def share(self, direction: Vectors) -> Field:
        """How much of a far light in `direction` [3], unit, model space, reaches each vertex [V].

        The probes around the direction speak in proportion to their nearness: a soft light.
        """
        weights = np.maximum(self.directions @ direction - _SPREAD, 0)
        near = np.flatnonzero(weights)
        return np.asarray(weights[near] @ self.lit[near] / weights[near].sum(), np.float32)


def _lit(vertices: Vectors, faces: NDArray[np.int32], direction: Vectors) -> Field:
    """The share [V] of 4 samples around each vertex that the depth map of a light shows lit."""
    right, up = _across(direction)
    plane = np.stack([vertices @ right, -(vertices @ up)], axis=1)  # [V, 2], y down
    low, span = plane.min(axis=0), float(np.ptp(plane, axis=0).max())
    pixels = (plane - low) * np.float32((_PROBE_SIDE - 4) / span) + np.float32(2)
    towards = vertices @ direction
    depth = towards.max() - towards + 1
    sides = _PROBE_SIDE, _PROBE_SIDE
    covered, seen = rasterise(pixels, depth, faces, depth[:, None], sides)
    nearest = np.full(_PROBE_SIDE * _PROBE_SIDE, np.inf, np.float32)
    nearest[covered] = seen[:, 0]
    x, y = pixels.astype(np.int32).T
    lit = np.zeros(len(vertices), np.float32)
    for shift_x, shift_y in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        at = (y + shift_y) * _PROBE_SIDE + x + shift_x
        lit += np.where(depth <= nearest[at] + np.float32(_BIAS), np.float32(0.25), 0)
    return lit


def _across(direction: Vectors) -> tuple[Vectors, Vectors]:
    """Two unit vectors that span the plane across a direction, so that right x up = direction."""
    helper = np.array([0, 1, 0] if abs(direction[1]) < 0.9 else [1, 0, 0], np.float32)
    right = unit(np.cross(helper, direction))
    return right, np.cross(direction, right)
