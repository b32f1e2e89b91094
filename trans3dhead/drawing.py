"""Drawing landmarks, the mesh and the pose on an image, at the image's own resolution.

Points are in full-image pixels, x right and y down, where pixel k covers [k, k + 1). Every
function leaves its input alone and returns a new [H, W, 3] uint8 RGB image.
"""

import cv2
import numpy as np

SHIFT = 4
"""Fractional bits of OpenCV's coordinates: it draws to a sixteenth of a pixel."""
LANDMARK_COLOR = (60, 255, 120)
AXIS_COLORS = ((255, 70, 70), (70, 255, 70), (90, 130, 255))
"""The subject's left in red, up in green, out of the face in blue."""
LIGHT = np.array([0.3, -0.5, -0.81])
"""Towards the light, in image axes: from above the camera, a little from the right."""


def draw_landmarks(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Dots at landmarks [n, 2]; their size follows the landmarks' extent, within the image's."""
    drawn = image.copy()
    extent = min(float(np.ptp(landmarks, axis=0).max()), max(image.shape))
    radius = max(1.0, extent / 110)
    for point in _fixed_point(landmarks):
        cv2.circle(
            drawn, point, round(radius * (1 << SHIFT)), LANDMARK_COLOR, -1, cv2.LINE_AA, SHIFT
        )
    return drawn


def draw_mesh(
    image: np.ndarray,
    projected: np.ndarray,
    posed: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    *,
    opacity: float = 0.75,
) -> np.ndarray:
    """The shaded mesh over the image, far triangles first.

    Args:
        projected: [V, 2] pixels.
        posed: [V, 3] metres in image axes (z into the scene), for depth and shading.
        faces: [F, 3] vertex indices, wound outward.
        colors: [V, 3] uint8 RGB.
        opacity: 0 leaves the image, 1 hides it.
    """
    corners = posed[faces].astype(np.float64)  # [F, 3 corners, 3]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    visible = np.flatnonzero(normals[:, 2] < 0)  # facing the camera, which looks along z
    order = visible[np.argsort(-corners[visible, :, 2].mean(axis=1))]
    shade = 0.45 + 0.55 * np.clip(normals[order] @ LIGHT, 0, 1)
    fill = colors[faces[order]].mean(axis=1) * shade[:, None]
    drawn = image.copy()
    for triangle, color in zip(_fixed_point(projected)[faces[order]], fill.tolist(), strict=True):
        cv2.fillConvexPoly(drawn, triangle, color, cv2.LINE_8, SHIFT)
    return cv2.addWeighted(drawn, opacity, image, 1 - opacity, 0)


def draw_pose(image: np.ndarray, rotation: np.ndarray, at: np.ndarray, length: float) -> np.ndarray:
    """The subject's axes, left, up and out of the face, from point `at` [2] in pixels.

    Args:
        rotation: [3, 3], model space to image axes.
        length: of an axis seen at a right angle, pixels.
    """
    drawn = image.copy()
    # The axis nearest to the viewer is drawn last, so that it lies on top.
    for axis in np.argsort(-rotation[2]):
        tip = at + length * rotation[:2, axis]
        start, end = _fixed_point(np.stack([at, tip]))
        thickness = max(1, round(length / 40))
        cv2.line(drawn, start, end, AXIS_COLORS[axis], thickness, cv2.LINE_AA, SHIFT)
    return drawn


def _fixed_point(points: np.ndarray) -> np.ndarray:
    """OpenCV's fixed-point coordinates, int32; to it, pixel k has its centre at k."""
    scaled = np.rint((points - 0.5) * (1 << SHIFT))
    return np.clip(scaled, -(1 << 24), 1 << 24).astype(np.int32)
