"""A head before a pinhole camera: its labels, and where its points appear."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.camera import OPENGL_TO_IMAGE, project_to_image, to_camera
from trans3dhead.data.crop import BBox
from trans3dhead.data.dad3dheads import Annotation
from trans3dhead.head.model import HeadModel
from trans3dhead.synth.scene import Camera, Scene

NEAR, FAR = 0.1, 10.0
"""Metres; they only fill the depth row of the projection."""
VERTEX_DECIMALS = 7
"""Vertices are rounded to a ten-thousandth of a millimetre, so that the file says all there is."""


@dataclass(frozen=True)
class Placed:
    """A head in its scene."""

    annotation: Annotation
    bbox: BBox
    """(x, y, w, h) of the "head" vertices in the full image, also where they leave it."""
    height: int
    """Of the image, pixels."""

    def camera_points(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Points [n, 3] of model space in camera axes, metres."""
        return to_camera(points, self.annotation.model_view).astype(np.float32)

    def pixels(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pixels [n, 2] at which points [n, 3] of model space appear."""
        matrices = self.annotation.model_view, self.annotation.projection
        return project_to_image(points, *matrices, self.height).astype(np.float32)

    def pixels_of_camera(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pixels [n, 2] at which points [n, 3] in camera axes appear."""
        projection = self.annotation.projection
        return project_to_image(points, np.eye(4), projection, self.height).astype(np.float32)


def place(head: HeadModel, scene: Scene) -> Placed:
    """Put the head where the scene's camera wants it."""
    camera = scene.camera
    vertices = np.round(head.model_vertices(scene.params[None])[0], VERTEX_DECIMALS)
    subset = head.subsets["head"]
    focal = _focal(head, camera)
    model_view = np.eye(4)
    model_view[:3, :3] = OPENGL_TO_IMAGE @ scene.rotation
    turned_centre = model_view[:3, :3] @ vertices[subset].mean(axis=0, dtype=np.float64)
    x, y = camera.centre
    target = np.array([x - camera.width / 2, camera.height / 2 - y, -focal])
    model_view[:3, 3] = target * (camera.distance / focal) - turned_centre
    annotation = Annotation(
        vertices=vertices, model_view=model_view, projection=_projection(camera, focal)
    )
    shown = project_to_image(
        vertices[subset], model_view, annotation.projection, camera.height
    )  # [3457, 2]
    left, top = np.round(shown.min(axis=0), 2).tolist()
    width, height = np.round(np.ptp(shown, axis=0), 2).tolist()
    return Placed(annotation, (left, top, width, height), camera.height)


def _focal(head: HeadModel, camera: Camera) -> float:
    """Focal length in pixels that shows a template's head as high as the scene asks."""
    height = float(np.ptp(head.template[head.subsets["head"], 1]))
    return camera.head_height * camera.distance / height


def _projection(camera: Camera, focal: float) -> NDArray[np.float64]:
    """[4, 4] of a pinhole at the image's middle: pixels with y up, depth as OpenGL has it."""
    depth, shift = -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    return np.array(
        [
            [focal, 0, -camera.width / 2, 0],
            [0, focal, -camera.height / 2, 0],
            [0, 0, depth, shift],
            [0, 0, -1, 0],
        ]
    )
