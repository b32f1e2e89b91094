"""Each kind of output that is files of its own: what stands in them, by the end of their name.

Every function takes a head and the photo's (height, width).
"""

import json

import cv2
import numpy as np

from trans3dhead.outputs.maps import (
    DEPTH_STEP,
    DEPTH_ZERO,
    NOTHING,
    depth_levels,
    normals_image,
)
from trans3dhead.outputs.mesh_files import mesh_bytes
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.outputs.record import record

Files = dict[str, bytes | str]


def params_file(head: Prediction, image_hw: tuple[int, int]) -> Files:
    """`record` and the size of the photo."""
    found = {"image_height_width": list(image_hw), **record(head)}
    return {".json": json.dumps(found, indent=1) + "\n"}


def mesh_file(head: Prediction, _: tuple[int, int], *, suffix: str) -> Files:
    """The mesh; see `mesh_files.mesh_bytes` for its axes."""
    surface = head.surface
    return {suffix: mesh_bytes(suffix, head.vertices, surface.faces, surface.colors)}


def depth_files(head: Prediction, image_hw: tuple[int, int]) -> Files:
    """The depth image, 16-bit grey, and what its levels mean."""
    scale = {
        "quantity": "z of the visible surface in image axes (into the scene), from the head "
        "model's origin; a weak-perspective camera knows no distance to the lens",
        "metres": "(level - zero_level) * metres_per_step",
        "zero_level": DEPTH_ZERO,
        "metres_per_step": DEPTH_STEP,
        "nothing_level": NOTHING,
        "pixels_per_metre": head.to_full_image().pixels_per_metre,
    }
    return {
        "-depth.png": png_bytes(depth_levels(head, image_hw)),
        "-depth.json": json.dumps(scale, indent=1) + "\n",
    }


def normals_files(head: Prediction, image_hw: tuple[int, int]) -> Files:
    """The normals image, 8-bit RGB; see `maps.normals_map` for its frame."""
    return {"-normals.png": png_bytes(normals_image(head, image_hw))}


def png_bytes(image: np.ndarray) -> bytes:
    """A grey [H, W] or RGB [H, W, 3] image, uint8 or uint16, as PNG."""
    ordered = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", ordered)[1].tobytes()
