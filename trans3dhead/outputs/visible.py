"""What of a head the photo's camera sees: values of the mesh at the pixels of the photo.

V vertices, F triangles, C values a vertex, M pixels that show the mesh.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.surface import HeadSurface
from trans3dhead.mesh.normals import MeshNormals
from trans3dhead.mesh.rasterise import rasterise

BAND_PIXELS = 4_000_000
"""Of the image at once: a head as large as the largest photo must fit into memory."""


def visible(
    projected: NDArray[np.floating],
    posed: NDArray[np.floating],
    faces: NDArray[np.int32],
    values: NDArray[np.floating],
    image_hw: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest surface at every pixel whose centre a triangle that faces the camera covers.

    Args:
        projected: [V, 2] pixels, pixel k covering [k, k + 1).
        posed: [V, 3] metres in image axes; its z says what is nearer.
        faces: [F, 3] vertices, wound outward.
        values: [V, C] to interpolate.
        image_hw: (height, width) of the image.

    Returns:
        The pixels [M] as row * width + column, ascending, and their values [M, C].
    """
    height, width = image_hw
    depth = (posed[:, 2] - posed[:, 2].min() + 1).astype(np.float32)
    rows = max(1, BAND_PIXELS // width)
    top = int(np.clip(projected[:, 1].min(), 0, height))
    bottom = int(np.clip(np.ceil(projected[:, 1].max()), 0, height))
    pixels, found = [np.zeros(0, np.int64)], [np.zeros((0, values.shape[1]), np.float32)]
    for first in range(top, bottom, rows):
        points = (projected - [0, first]).astype(np.float32)
        band = min(rows, bottom - first), width
        pixel, seen = rasterise(points, depth, faces, values.astype(np.float32), band)
        pixels.append(pixel + first * width)
        found.append(seen)
    return np.concatenate(pixels), np.concatenate(found)


def vertex_normals(surface: HeadSurface, posed: NDArray[np.floating]) -> NDArray[np.float32]:
    """Outward unit normals [V, 3] in image axes, each the mean of its triangles by area."""
    return _normals_of(surface)(posed.astype(np.float32))


@lru_cache(maxsize=2)
def _normals_of(surface: HeadSurface) -> MeshNormals:
    return MeshNormals.of(surface.faces, int(surface.faces.max()) + 1)
