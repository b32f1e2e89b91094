"""Depth and normals of a head's visible surface at the pixels of the photo.

M pixels that show the head.
"""

import numpy as np
from numpy.typing import NDArray

from trans3dhead.mesh.normals import unit
from trans3dhead.outputs.mesh_files import VIEWER_AXES
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.outputs.visible import vertex_normals, visible

DEPTH_STEP = 2e-5
"""Metres a step of the depth image: it holds +-0.65 m, several heads."""
DEPTH_ZERO = 1 << 15
"""The level of the head model's origin."""
NOTHING = 0
"""The level where no head is seen, of depth and of all three of the normals' channels."""


def depth_map(
    head: Prediction, image_hw: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pixels [M] (row * width + column, ascending) and z of image axes [M], metres, there."""
    pixels, depth = visible(
        head.projected, head.vertices, head.surface.faces, head.vertices[:, 2:], image_hw
    )
    return pixels, depth[:, 0]


def normals_map(
    head: Prediction, image_hw: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Pixels [M] and the normals' colours [M, 3] there: (n + 1) / 2 * 255, rounded.

    The normals are unit, x to the image's right, y up, z towards the viewer.
    """
    normals = vertex_normals(head.surface, head.vertices) * VIEWER_AXES.astype(np.float32)
    pixels, seen = visible(head.projected, head.vertices, head.surface.faces, normals, image_hw)
    return pixels, np.rint((unit(seen) + 1) / 2 * 255).astype(np.uint8)


def depth_levels(head: Prediction, image_hw: tuple[int, int]) -> NDArray[np.uint16]:
    """The depth image [H, W] uint16: DEPTH_ZERO + z / DEPTH_STEP, or NOTHING."""
    pixels, depth = depth_map(head, image_hw)
    levels = np.full(image_hw, NOTHING, np.uint16)
    steps = np.rint(depth / DEPTH_STEP) + DEPTH_ZERO
    levels.reshape(-1)[pixels] = np.clip(steps, NOTHING + 1, 65535)
    return levels


def normals_image(head: Prediction, image_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The normals image [H, W, 3] uint8 RGB; NOTHING where no head is seen."""
    pixels, colors = normals_map(head, image_hw)
    picture = np.full((*image_hw, 3), NOTHING, np.uint8)
    picture.reshape(-1, 3)[pixels] = colors
    return picture
