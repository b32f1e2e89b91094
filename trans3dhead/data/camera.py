"""The camera of an annotation (SPEC 5): from model space to the pixels of the full image.

Frames: model space is FLAME's (x to the subject's left, y up, z out of the face, metres); the
model view takes it to an OpenGL camera (x right, y up, looking along -z); the projection takes that
to pixels with y up, and the image's height turns y down.
Pixels are continuous: pixel k covers [k, k + 1), so its centre is k + 0.5 and the image covers
[0, W] x [0, H].
"""

import numpy as np
from numpy.typing import NDArray

OPENGL_TO_IMAGE = np.diag([1.0, -1.0, -1.0])
"""From camera axes (x right, y up, z to the viewer) to image axes (y down, z into the scene)."""


def to_camera(
    points: NDArray[np.floating], model_view: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Points [n, 3] of model space in the camera's frame: [n, 3], metres, y up, z to the viewer."""
    matrix = np.asarray(model_view, np.float64)
    return np.asarray(points, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def project_to_image(
    points: NDArray[np.floating],
    model_view: NDArray[np.floating],
    projection: NDArray[np.floating],
    height: int,
) -> NDArray[np.float64]:
    """Pixels of the full image at which points of model space appear (SPEC 5).

    Args:
        points: [n, 3] model space, metres.
        model_view: [4, 4].
        projection: [4, 4].
        height: of the full image, pixels.

    Returns:
        [n, 2] float64 (x, y), y down. h = P . MV . (v, 1); x = h0 / h3; y = height - h1 / h3.
    """
    camera = to_camera(points, model_view)
    matrix = np.asarray(projection, np.float64)
    homogeneous = camera @ matrix[:, :3].T + matrix[:, 3]  # [n, 4]
    pixels = homogeneous[:, :2] / homogeneous[:, 3:]
    pixels[:, 1] = height - pixels[:, 1]
    return pixels


def true_rotation(model_view: NDArray[np.floating]) -> NDArray[np.float64]:
    """The head's rotation [3, 3], image axes (SPEC 4): (diag(1, -1, -1, 1) . MV)[:3, :3]."""
    return OPENGL_TO_IMAGE @ np.asarray(model_view, np.float64)[:3, :3]
