"""One head read from a photo, and everything that can be made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.crop import BBox, CropTransform
from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.rotation import euler_degrees
from trans3dhead.head.surface import HeadSurface

DRAWN = ("head_mesh", "pose", "landmarks68")
"""The kinds that `Prediction.draw` lays over the image where none are named."""


@dataclass(frozen=True)
class ImageCamera:
    """The weak-perspective camera of one head: pixel = origin + pixels_per_metre * (x, y)."""

    pixels_per_metre: float
    """Of the full image; depth has no part in it."""
    origin: NDArray[np.float64]
    """[2] full-image pixels (x, y) at which the head model's origin appears."""

    def pixels(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Full-image pixels [..., 2] of posed points [..., 3], metres in image axes."""
        return self.origin + self.pixels_per_metre * points[..., :2].astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One head of one photo.

    Frames: *full-image pixels* are those of the photo as it was given, x right and y down, where
    pixel k covers [k, k + 1); *image axes* are metres from the head model's origin, x right, y
    down, z into the scene. Crop pixels are left behind, except in `params`: its translation and
    scale are those of the crop, and `to_full_image` says what they mean in the photo.
    """

    bbox: BBox
    """(x, y, w, h) that was asked for, full-image pixels."""
    crop: CropTransform
    """Where the network's crop lies in the photo; `crop.to_crop` and `crop.to_full` take points."""
    landmarks: np.ndarray | None
    """[68, 2] float64 full-image pixels, of the landmark branch; None for single-task networks."""
    params: np.ndarray
    """[413] float32: shape, expression, jaw, rotation, translation, scale (`head.layout`)."""
    rotation: np.ndarray
    """[3, 3] float32, model space to image axes."""
    vertices: np.ndarray
    """[5023, 3] float32 posed metres in image axes."""
    projected: np.ndarray
    """[5023, 2] float64 full-image pixels of the vertices."""
    surface: HeadSurface
    """Triangles, landmark definitions, subsets and colours of the head model."""
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Vertex indices by name, beside those of the head model (`surface.subsets`)."""

    @cached_property
    def pose(self) -> dict[str, float]:
        """Pitch (up), yaw (to the image's left) and roll (clockwise), in degrees."""
        angles = euler_degrees(self.rotation.astype(np.float64))
        return dict(zip(("pitch", "yaw", "roll"), angles.tolist(), strict=True))

    @cached_property
    def mesh_landmarks(self) -> np.ndarray:
        """The 68 landmarks of the projected mesh, [68, 2] float64 pixels: the 3D branch's own."""
        return self.surface.landmarks68(self.projected[None])[0]

    def to_full_image(self) -> ImageCamera:
        """The camera that took `vertices` to `projected`: scale and translation of the photo."""
        half = self.crop.size / 2
        scale = max(float(self.params[LAYOUT_413.scale][0]) + 1, 1e-8)
        shift = self.params[LAYOUT_413.translation][:2].astype(np.float64)
        return ImageCamera(scale * half / self.crop.scale, self.crop.to_full((shift + 1) * half))

    def save_obj(self, path: Path | str) -> None:
        """Write the coloured mesh; see `outputs.mesh_files.save_mesh` for its axes."""
        from trans3dhead.outputs.mesh_files import save_mesh

        save_mesh(Path(path), self.vertices, self.surface.faces, self.surface.colors)

    def draw(self, image: NDArray[np.uint8], kinds: Sequence[str] = DRAWN) -> NDArray[np.uint8]:
        """The photo [H, W, 3] uint8 RGB with the kinds of output over it, as a new array."""
        from trans3dhead.outputs.writing import draw_outputs

        return draw_outputs(kinds, image, [self])
