"""Each kind of output that can be seen, laid over the photo.

Every function takes the photo [H, W, 3] uint8 RGB, a head and the name of a vertex subset (which
only some use), and returns a new photo.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.outputs.drawing import (
    DENSE_COLOR,
    draw_angles,
    draw_points,
    draw_pose,
    lay_over,
    shaded,
)
from trans3dhead.outputs.maps import depth_map, normals_map
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.outputs.subsets import subset_faces, subset_of
from trans3dhead.outputs.visible import vertex_normals, visible

Image = NDArray[np.uint8]
MESH_OPACITY, MAP_OPACITY = 0.75, 0.9
NOSE_TIP = 30


def paint_landmarks(image: Image, head: Prediction, _: str) -> Image:
    """The landmark branch's 68 points; the mesh's own where the network has no such branch."""
    points = head.mesh_landmarks if head.landmarks is None else head.landmarks
    return draw_points(image, points)


def paint_dense(image: Image, head: Prediction, subset: str) -> Image:
    """A subset's projected vertices."""
    return draw_points(image, head.projected[subset_of(head, subset)], DENSE_COLOR, size=0.4)


def paint_mesh(image: Image, head: Prediction, subset: str) -> Image:
    """The triangles of a subset of the head model, in its colours, shaded."""
    surface, normals = head.surface, vertex_normals(head.surface, head.vertices)
    pixels, colors = visible(
        head.projected,
        head.vertices,
        subset_faces(surface, subset),
        shaded(surface.colors, normals),
        image.shape[:2],
    )
    return lay_over(image, pixels, colors, MESH_OPACITY)


def paint_pose(image: Image, head: Prediction, _: str) -> Image:
    """The head's axes from the tip of the nose, and its angles beside the box."""
    w, h = head.bbox[2:]
    nose = head.mesh_landmarks[NOSE_TIP]
    drawn = draw_pose(image, head.rotation, nose, length=0.4 * min(w, h))
    return draw_angles(drawn, head.pose, np.array(head.bbox[:2]), size=0.07 * h)


def paint_depth(image: Image, head: Prediction, _: str) -> Image:
    """Near is bright, far is dark, from the nearest visible point to the farthest."""
    pixels, depth = depth_map(head, image.shape[:2])
    if not len(pixels):
        return image.copy()
    share = (depth.max() - depth) / max(float(np.ptp(depth)), 1e-9)
    levels = np.rint(share * 255).astype(np.uint8)[:, None]
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    return lay_over(image, pixels, colors, MAP_OPACITY)


def paint_normals(image: Image, head: Prediction, _: str) -> Image:
    """The colours of the normals map."""
    pixels, colors = normals_map(head, image.shape[:2])
    return lay_over(image, pixels, colors, MAP_OPACITY)
