"""The head model: 413 parameters to vertices, by the closed form of skinning (SPEC 3).

Letters: B batch, V = 5023 vertices, K = 409 rows of the basis (300 shape, 100 expression, 9 jaw).
Model space: metres, x to the subject's left, y up, z out of the face. Posed space: image axes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.layout import LAYOUT_413, to_full
from trans3dhead.head.rotation import rodrigues, rotation_from_six_d
from trans3dhead.head.surface import (
    VERTEX_COUNT,
    ArraySpecs,
    HeadSurface,
    check_rows_sum_to_one,
)

JAW_JOINT = 2
JAW_POSE_DIRECTIONS = slice(9, 18)
"""Of the 36 pose directions (neck, jaw, two eyes; 9 each) those of the jaw."""
DEPTH_OFFSET = 0.05
"""Metres added to z: the rotation turns about a point nearer to the face (SPEC 3 step 1)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadModel(HeadSurface):
    """A head model with FLAME's arrays.

    `template` metres; `shape_directions` metres for one standard deviation, shape then
    expression; `pose_directions` metres for each entry of R - I, row by row, joint after joint;
    `joint_regressor` and `skinning_weights` for the joints global, neck, jaw, left eye, right
    eye (parents -1, 0, 1, 1, 1), of which only the jaw ever turns.
    """

    ARRAYS: ClassVar[ArraySpecs] = {
        **HeadSurface.ARRAYS,
        "template": ((VERTEX_COUNT, 3), np.float32),
        "shape_directions": ((VERTEX_COUNT, 3, 400), np.float32),
        "pose_directions": ((VERTEX_COUNT, 3, 36), np.float32),
        "joint_regressor": ((5, VERTEX_COUNT), np.float32),
        "skinning_weights": ((VERTEX_COUNT, 5), np.float32),
    }

    template: np.ndarray
    shape_directions: np.ndarray
    pose_directions: np.ndarray
    joint_regressor: np.ndarray
    skinning_weights: np.ndarray

    def check(self, origin: str) -> None:
        super().check(origin)
        check_rows_sum_to_one(self.skinning_weights, "skinning_weights", origin)

    def surface(self) -> HeadSurface:
        """This head without its basis: what a bundle carries when the basis is licensed."""
        return HeadSurface(
            name=self.name,
            licence=self.licence,
            redistributable=self.redistributable,
            **self.drawing_arrays(),
        )

    @cached_property
    def basis(self) -> np.ndarray:
        """Rows of the one product, float32 [K, V*3]: shape, expression, the jaw's correctives."""
        columns = np.concatenate(
            [self.shape_directions, self.pose_directions[..., JAW_POSE_DIRECTIONS]], axis=-1
        )
        return np.ascontiguousarray(columns.reshape(VERTEX_COUNT * 3, -1).T)

    @cached_property
    def jaw_joint(self) -> np.ndarray:
        """Where the jaw turns, linear in (1, shape, expression): float32 [401, 3]."""
        regressor = self.joint_regressor[JAW_JOINT].astype(np.float64)
        mean = regressor @ self.template
        # moves[k, c] = sum_v regressor[v] directions[v, c, k]
        moves = np.einsum("v,vck->kc", regressor, self.shape_directions)
        return np.concatenate([mean[None], moves]).astype(np.float32)

    @property
    def jaw_weights(self) -> np.ndarray:
        """How much each vertex follows the jaw, float32 [V, 1]."""
        return self.skinning_weights[:, JAW_JOINT, None]

    def model_vertices(self, params: np.ndarray) -> np.ndarray:
        """Vertices in model space, without global rotation: float32 [B, V, 3] metres.

        v = template + basis . [betas; vec(R_jaw - I)], then v + w_jaw (R_jaw - I)(v - J_jaw)
        with J_jaw taken before the correctives, and z + 0.05.

        Args:
            params: [B, 413] in the order of `LAYOUT_413`.
        """
        layout, params = LAYOUT_413, params.astype(np.float32, copy=False)
        assert params.ndim == 2 and params.shape[1] == layout.count, params.shape
        betas = params[:, : layout.jaw_slice.start]  # [B, 400]
        turn = rodrigues(params[:, layout.jaw_slice]) - np.eye(3, dtype=np.float32)  # [B, 3, 3]
        coefficients = np.concatenate([betas, turn.reshape(-1, 9)], axis=1)  # [B, K]
        bent = self.template + (coefficients @ self.basis).reshape(-1, VERTEX_COUNT, 3)
        joint = self.jaw_joint[0] + betas @ self.jaw_joint[1:]  # [B, 3]
        # moved[b, v, i] = w[v] sum_j turn[b, i, j] (bent[b, v, j] - joint[b, j])
        moved = self.jaw_weights * ((bent - joint[:, None]) @ np.swapaxes(turn, 1, 2))
        vertices = bent + moved
        vertices[..., 2] += np.float32(DEPTH_OFFSET)
        return vertices

    def posed_vertices(self, params: np.ndarray) -> np.ndarray:
        """Vertices turned into image axes, R v: float32 [B, V, 3] metres, from [B, 413]."""
        rotation = rotation_from_six_d(params[:, LAYOUT_413.rotation].astype(np.float32))
        # posed[b, v, i] = sum_j R[b, i, j] vertices[b, v, j]
        return self.model_vertices(params) @ np.swapaxes(rotation, 1, 2)


def project(posed: np.ndarray, params: np.ndarray, size: int) -> np.ndarray:
    """Crop pixels (x, y) [B, n, 2] of posed points [B, n, 3] (SPEC 3 step 3).

    s = max(scale + 1, 1e-8); pixel = (s * posed + (tx, ty) + 1) / 2 * size; tz is unused.

    Args:
        params: [B, 413], for scale and translation.
        size: side of the crop in pixels.
    """
    scale = np.maximum(params[:, None, LAYOUT_413.scale] + 1, 1e-8)  # [B, 1, 1]
    shift = params[:, None, LAYOUT_413.translation][..., :2]  # [B, 1, 2]
    return (scale * posed[..., :2] + shift + 1) * (size / 2)


def posed_vertices(answers: Mapping[str, NDArray[Any]], head: HeadSurface) -> NDArray[Any]:
    """Posed vertices [B, V, 3], metres in image axes, of a network's or an engine's answers.

    Args:
        answers: "vertices" [B, V, 3] where the graph gives them, "params" [B, 60 | 160 | 413].
        head: a HeadModel, unless the graph gives vertices.
    """
    if "vertices" in answers:
        return answers["vertices"]
    assert isinstance(head, HeadModel), "without its basis a head model has no vertices"
    return head.posed_vertices(to_full(answers["params"]))
