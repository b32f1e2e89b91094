"""The picture while it is painted: fills and lines at points of model space, under its light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from trans3dhead.synth.placing import Placed
from trans3dhead.synth.scene import Light

Levels = NDArray[np.float32]

GAMMA = 2.2
_SHIFT = 4  # bits of a pixel's fraction in OpenCV's drawing
_CENTRE = 0.5  # OpenCV counts from the centre of the first pixel, we from its corner


def linear(colour: ArrayLike) -> NDArray[np.float32]:
    """Linear light of colours as shown, 0 to 1."""
    return np.asarray(colour, np.float32) ** np.float32(GAMMA)


def shown(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey levels 0 to 255 of linear light, softly limited above."""
    limited = np.where(light < 0.7, light, 1 - 0.09 / (np.maximum(light, 0.7) - 0.4))
    return 255 * np.clip(limited, 0, 1) ** np.float32(1 / GAMMA)


@dataclass(frozen=True)
class Canvas:
    """A picture [H * scale, W * scale, 3] uint8 RGB of a placed head."""

    pixels: NDArray[np.uint8]
    scale: int
    """Canvas pixels per pixel of the image."""
    placed: Placed
    light: Light
    exposure: float

    def lit(self, colours: ArrayLike, normals: ArrayLike = (0, 0, 1)) -> Levels:
        """Grey levels [..., 3] of dull surfaces under the scene's light.

        Args:
            colours: [..., 3] RGB as shown under plain white light, 0 to 1.
            normals: [..., 3] unit, camera axes; by default towards the viewer.
        """
        facing = np.asarray(normals, np.float32)
        light = self.light
        received = light.ground + (light.sky - light.ground) * (facing[..., 1:2] + 1) / 2
        for lamp in (light.key, light.fill):
            received = received + lamp.colour * np.maximum(facing @ lamp.direction, 0)[..., None]
        return shown((linear(colours) * received * self.exposure).astype(np.float32))

    def fill(self, points: NDArray[np.floating], levels: Levels) -> None:
        """Fill the outline [n, 3], model space, with grey levels [3]."""
        self.fill_pixels(self.placed.pixels(points), levels)

    def line(
        self, points: NDArray[np.floating], levels: Levels, width: float, *, closed: bool = False
    ) -> None:
        """Draw a line [n, 3], model space, `width` image pixels wide."""
        self.line_pixels(self.placed.pixels(points), levels, width, closed=closed)

    def line_pixels(
        self, points: NDArray[np.floating], levels: Levels, width: float, *, closed: bool = False
    ) -> None:
        """Draw a line [n, 2], image pixels, `width` of them wide."""
        corners = [self._fixed(points)]
        thickness = max(round(width * self.scale), 1)
        colour = levels.tolist()
        cv2.polylines(self.pixels, corners, closed, colour, thickness, cv2.LINE_8, _SHIFT)

    def fill_pixels(self, outline: NDArray[np.floating], levels: Levels) -> None:
        """Fill the outline [n, 2], image pixels."""
        cv2.fillPoly(self.pixels, [self._fixed(outline)], levels.tolist(), cv2.LINE_8, _SHIFT)

    def fill_each(self, outlines: NDArray[np.floating], levels: Levels) -> None:
        """Fill convex outlines [k, n, 2], image pixels, each with its own levels [k, 3]."""
        for corners, colour in zip(self._fixed(outlines), levels.tolist(), strict=True):
            cv2.fillConvexPoly(self.pixels, corners, colour, cv2.LINE_8, _SHIFT)

    def _fixed(self, pixels: NDArray[np.floating]) -> NDArray[np.int32]:
        return np.rint((pixels * self.scale - _CENTRE) * 2**_SHIFT).astype(np.int32)
