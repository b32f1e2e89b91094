"""Drawing points, a mesh and a pose on an image, at the image's own resolution.

Points are in full-image pixels, x right and y down, where pixel k covers [k, k + 1). Every
function leaves its input alone and returns a new [H, W, 3] uint8 RGB image.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

SHIFT = 4
"""Fractional bits of OpenCV's coordinates: it draws to a sixteenth of a pixel."""
LANDMARK_COLOR = (60, 255, 120)
DENSE_COLOR = (90, 200, 255)
AXIS_COLORS = ((255, 70, 70), (70, 255, 70), (90, 130, 255))
"""The subject's left in red, up in green, out of the face in blue."""
LIGHT = np.array([0.3, -0.5, -0.81], np.float32)
"""Towards the light, in image axes: from above the camera, a little from the right."""
TEXT_HEIGHT = 22
"""Pixels of a line of OpenCV's plain font at scale 1, with the gap below."""


def draw_points(
    image: Image, points: np.ndarray, color: Color = LANDMARK_COLOR, *, size: float = 1.0
) -> Image:
    """Dots at points [n, 2]; their radius follows the points' extent within the image's.

    Args:
        size: 1 for 68 landmarks; less where there are many.
    """
    drawn = image.copy()
    extent = min(float(np.ptp(points, axis=0).max()), max(image.shape))
    radius = max(1.0, size * extent / 110)
    for point in _fixed_point(points):
        cv2.circle(drawn, point, round(radius * (1 << SHIFT)), color, -1, cv2.LINE_AA, SHIFT)
    return drawn


def shaded(colors: NDArray[np.floating], normals: NDArray[np.floating]) -> NDArray[np.float32]:
    """Colours [V, 3] of a dull surface with unit normals [V, 3] in image axes, under `LIGHT`."""
    light = 0.45 + 0.55 * np.clip(normals @ LIGHT, 0, 1)
    return (colors * light[:, None]).astype(np.float32)


def lay_over(
    image: Image, pixels: NDArray[np.int64], colors: NDArray[np.number], opacity: float
) -> Image:
    """Colours [M, 3], 0 to 255, over pixels [M] (row * width + column) of the image.

    Args:
        opacity: 0 leaves the image, 1 hides it.
    """
    drawn = image.copy()
    flat = drawn.reshape(-1, 3)
    below, above = flat[pixels].astype(np.float32), np.clip(colors, 0, 255).astype(np.float32)
    flat[pixels] = np.rint(opacity * above + (1 - opacity) * below)
    return drawn


def draw_pose(image: Image, rotation: np.ndarray, at: np.ndarray, length: float) -> Image:
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


def draw_angles(image: Image, pose: Mapping[str, float], at: np.ndarray, size: float) -> Image:
    """Angles in degrees, a line each, its first letters at point `at` [2]; kept in the image.

    Args:
        size: height of the letters' lines, pixels.
    """
    drawn = image.copy()
    scale = max(size / TEXT_HEIGHT, 0.4)
    step, thickness = scale * TEXT_HEIGHT, max(1, round(scale))
    lines = [f"{name} {value:+.1f}" for name, value in pose.items()]
    font = cv2.FONT_HERSHEY_SIMPLEX
    width = max(cv2.getTextSize(line, font, scale * 0.6, thickness)[0][0] for line in lines)
    left = np.clip(at[0], 2, max(2, image.shape[1] - width - 2))
    top = np.clip(at[1], step, max(step, image.shape[0] - step * len(lines)))
    for row, line in enumerate(lines):
        start = int(left), int(top + row * step)
        for color, extra in (((0, 0, 0), 2), ((255, 255, 255), 0)):  # a dark rim, then the letters
            cv2.putText(
                drawn, line, start, font, scale * 0.6, color, thickness + extra, cv2.LINE_AA
            )
    return drawn


def _fixed_point(points: np.ndarray) -> NDArray[np.int32]:
    """OpenCV's fixed-point coordinates, int32; to it, pixel k has its centre at k."""
    scaled = np.rint((points - 0.5) * (1 << SHIFT))
    return np.clip(scaled, -(1 << 24), 1 << 24).astype(np.int32)
