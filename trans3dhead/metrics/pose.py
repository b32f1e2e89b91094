"""Pose error: how far the head's rotation is from the true one (SPEC 6)."""

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.camera import true_rotation


def pose_error(predicted: NDArray[np.floating], model_view: NDArray[np.floating]) -> float:
    """`rotation_distance` of a prediction to the rotation of an annotation.

    Args:
        predicted: [3, 3] model space to image axes.
        model_view: [4, 4] of the ground truth; its rotation is taken as it is, not made orthogonal.
    """
    return rotation_distance(predicted, true_rotation(model_view))


def rotation_distance(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Frobenius norm of I - R_pred R_true^T: 2 sqrt(2) sin(angle / 2), so 0 to 2.83.

    Args:
        predicted, true: [3, 3] model space to image axes.
    """
    difference = np.eye(3) - predicted.astype(np.float64) @ true.T
    return float(np.linalg.norm(difference))
