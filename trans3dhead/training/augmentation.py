"""Training crops made harder: turned in the plane, recoloured, blurred, compressed, covered.

DAD-3DHeads' own training does none of it, so all of it is off unless a configuration asks. What is
drawn follows from the generator alone. S the crop's side in pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.training.config import Augmentation

Crop = NDArray[np.uint8]
Generator = np.random.Generator

GAIN, SHIFT = 0.25, 25.0
"""Largest change of a colour channel: as a factor, and in steps of 255."""
SATURATION = 0.5
"""Largest change of the distance from grey, as a factor."""
SOMETIMES = 0.3
"""Share of the recoloured crops that are blurred; likewise noisy; likewise compressed."""
BLUR = (0.4, 1.6)
"""Standard deviation of a blur, pixels of a crop 256 wide."""
NOISE = (2.0, 12.0)
"""Standard deviation of noise, steps of 255."""
QUALITY = (25, 80)
"""Of JPEG."""
PATCH = (0.15, 0.45)
"""Sides of what covers a crop, as shares of the crop's."""
WIDE = 256


@dataclass(frozen=True)
class Turn:
    """A rotation in the plane about the crop's centre, clockwise in the image for positive angles.

    Pixel k has its centre at k + 0.5, as everywhere.
    """

    degrees: float
    size: int
    """S."""

    @property
    def matrix(self) -> NDArray[np.float64]:
        """[2, 2] on (x, y), y down."""
        angle = np.radians(self.degrees)
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def points(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Crop pixels [..., 2] (x, y) after the turn."""
        centre = self.size / 2
        return (points - centre) @ self.matrix.T + centre

    def rotation(self, rotation: NDArray[np.floating]) -> NDArray[np.float64]:
        """[..., 3, 3] model space to image axes after the turn."""
        about_view = np.eye(3)
        about_view[:2, :2] = self.matrix
        return about_view @ rotation

    def image(self, crop: Crop) -> Crop:
        """[S, S, 3] after the turn; what comes from outside is black, as a crop's padding is."""
        centre = np.full(2, self.size / 2 - 0.5)  # OpenCV's pixel k has its centre at k
        moved = np.column_stack([self.matrix, centre - self.matrix @ centre])
        return np.asarray(cv2.warpAffine(crop, moved, (self.size, self.size)), np.uint8)


def draw_turn(changes: Augmentation, size: int, rng: Generator) -> Turn | None:
    """The turn of a crop; None where crops are not turned."""
    if not changes.rotate:
        return None
    return Turn(float(rng.uniform(-changes.rotate, changes.rotate)), size)


def change_colours(crop: Crop, changes: Augmentation, rng: Generator) -> Crop:
    """[S, S, 3] uint8 RGB with other colours, blur, noise, compression and a patch, as drawn.

    No label moves.
    """
    if rng.random() < changes.recolour:
        crop = _recoloured(crop, rng)
    if rng.random() < changes.occlude:
        crop = _covered(crop, rng)
    return crop


def _recoloured(crop: Crop, rng: Generator) -> Crop:
    values = crop.astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * _factor(rng, SATURATION)
    values = values * _factor(rng, GAIN) * _factor(rng, GAIN / 2, size=3)
    values += np.float32(rng.uniform(-SHIFT, SHIFT))
    if rng.random() < SOMETIMES:
        sigma = rng.uniform(*BLUR) * crop.shape[0] / WIDE
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), sigma))
    if rng.random() < SOMETIMES:
        noise = rng.standard_normal(values.shape, np.float32)
        values += noise * np.float32(rng.uniform(*NOISE))
    changed = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if rng.random() < SOMETIMES:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITY))]
        _, data = cv2.imencode(".jpg", changed, quality)
        changed = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return changed


def _covered(crop: Crop, rng: Generator) -> Crop:
    """A patch of one colour, a little noisy, over any part of the crop."""
    size = crop.shape[0]
    height, width = (np.ceil(rng.uniform(*PATCH, size=2) * size)).astype(int)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    color = rng.uniform(0, 255, size=3) + 10 * rng.standard_normal((height, width, 3))
    covered = crop.copy()
    covered[top : top + height, left : left + width] = np.clip(color, 0, 255).astype(np.uint8)
    return covered


def _factor(rng: Generator, spread: float, size: int | None = None) -> NDArray[np.float32]:
    return np.asarray(rng.uniform(1 - spread, 1 + spread, size), np.float32)
