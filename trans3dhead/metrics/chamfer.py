"""Chamfer distance: the true face's distance to the predicted head, both made alike (SPEC 6)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engines.errors import UserError

LEFT_INNER_EYE, RIGHT_INNER_EYE = 1, 2
"""Landmarks 39 and 42 among the seven [36, 39, 42, 45, 33, 48, 54]; left in the image."""
INNER_EYE_DISTANCE = 20.0

_NEGLIGIBLE = 1e-6
"""Shares below it are float32's rounding, no extent."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * x @ rotation + translation; the rotation may reflect."""

    scale: float
    rotation: NDArray[np.float64]
    """[3, 3], applied to rows from the right."""
    translation: NDArray[np.float64]
    """[3]."""

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points [n, 3], moved."""
        return self.scale * (points @ self.rotation) + self.translation


def chamfer(
    predicted: NDArray[np.floating],
    predicted_landmarks: NDArray[np.floating],
    true_face: NDArray[np.floating],
    true_landmarks: NDArray[np.floating],
) -> float:
    """Mean squared distance from each true face vertex to the nearest predicted vertex.

    The ground truth is scaled so that its inner eye corners are 20 apart; the prediction is laid on
    it by the similarity that fits its seven landmarks best, so no similarity of it changes a thing.

    Args:
        predicted: [n, 3] all predicted vertices.
        predicted_landmarks: [7, 3] in the same frame.
        true_face: [m, 3] the "face" vertices of the ground truth.
        true_landmarks: [7, 3] in the same frame.

    Raises:
        UserError: the inner eye corners of the truth coincide, or the prediction's landmarks lie on
            one line or in one point, so that no alignment is the best one.
    """
    corners = true_landmarks[LEFT_INNER_EYE] - true_landmarks[RIGHT_INNER_EYE]
    distance = float(np.linalg.norm(corners))
    if distance <= _NEGLIGIBLE * float(np.abs(true_landmarks).max()):
        raise UserError(
            "the inner eye corners of the ground truth coincide; expected a head; "
            "correct the annotation"
        )
    scale = INNER_EYE_DISTANCE / distance
    align = fit_similarity(predicted_landmarks, scale * true_landmarks)
    nearest, _ = cKDTree(align(predicted), balanced_tree=False).query(scale * true_face)
    return float(np.mean(nearest**2))


def fit_similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> Similarity:
    """The similarity, reflections allowed, that brings source [n, 3] nearest to target [n, 3].

    Orthogonal Procrustes: with centred, unit-norm X (target) and Y (source) and
    X^T Y = U diag(s) V^T, the rotation is V U^T and the scale sum(s) |X| / |Y|.

    Raises:
        UserError: source or target lies on one line or in one point.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    Y, X = source - source_mean, target - target_mean
    source_norm, target_norm = float(np.linalg.norm(Y)), float(np.linalg.norm(X))
    if source_norm <= _NEGLIGIBLE * float(np.abs(source).max()):
        raise UserError(_no_alignment("in one point"))
    U, s, Vt = np.linalg.svd((X / target_norm).T @ (Y / source_norm))
    if s[1] <= _NEGLIGIBLE * s[0]:
        raise UserError(_no_alignment("on one line"))
    rotation = (U @ Vt).T
    scale = float(s.sum()) * target_norm / source_norm
    return Similarity(scale, rotation, target_mean - scale * source_mean @ rotation)


def _no_alignment(where: str) -> str:
    return (
        f"the seven landmarks of the prediction lie {where}; expected a head that can be aligned; "
        "look at the parameters predicted for this item"
    )
