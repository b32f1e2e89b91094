"""The one crop of the project: training, evaluation, prediction and bundles all make it here.

The annotated box grows by offsets, is truncated to whole pixels and cut to the image; what it holds
is resized to a longest side of `size` and padded centrally with black, an odd pixel going right or
below (SPEC 5).

Pixels are continuous: pixel k covers [k, k + 1) and its centre is k + 0.5, in the full image and in
the crop alike. So `crop = (full - origin) * scale + padding` holds for points without a half-pixel
term, and the resize samples at the centres.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError

BBox = tuple[float, float, float, float]
"""(x, y, w, h): left, top, width, height in pixels of the full image."""
Offsets = tuple[float, float, float, float]
"""(left, top, right, bottom): how far a box grows; left and right of w, top and bottom of h."""
Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1): whole pixels of the full image, the end exclusive."""

EVALUATION_OFFSETS: Offsets = (0.1, 0.1, 0.1, 0.1)
"""Ten per cent on every side wherever nothing is drawn at random (SPEC 5)."""
OFFSET_RANGE = (0.05, 0.15)
"""Range of the offsets drawn in training (SPEC 5)."""


@dataclass(frozen=True)
class CropTransform:
    """How a crop lies in its full image."""

    x: float
    """Left edge of the box, pixels of the full image."""
    y: float
    """Top edge of the box."""
    scale: float
    """Crop pixels per pixel of the full image, the same along both axes."""
    pad_x: float
    """Black columns on the left, crop pixels."""
    pad_y: float
    """Black rows above."""
    size: int
    """Side of the crop, pixels."""

    def to_crop(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Crop pixels [..., 2] (x, y) of points [..., 2] of the full image."""
        return (points - self._origin()) * self.scale + self._padding()

    def to_full(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Full-image pixels [..., 2] of points [..., 2] of the crop; the inverse of `to_crop`."""
        return (points - self._padding()) / self.scale + self._origin()

    def as_array(self) -> NDArray[np.float64]:
        """[6]: x, y, scale, pad_x, pad_y, size."""
        return np.array([self.x, self.y, self.scale, self.pad_x, self.pad_y, self.size], np.float64)

    @classmethod
    def from_array(cls, array: NDArray[np.floating]) -> Self:
        """Inverse of `as_array`."""
        x, y, scale, pad_x, pad_y, size = (float(value) for value in array)
        return cls(x, y, scale, pad_x, pad_y, int(size))

    def _origin(self) -> NDArray[np.float64]:
        return np.array([self.x, self.y])

    def _padding(self) -> NDArray[np.float64]:
        return np.array([self.pad_x, self.pad_y])


def random_offsets(rng: np.random.Generator) -> Offsets:
    """Offsets of a training crop: four independent draws from 5 % to 15 %."""
    left, top, right, bottom = rng.uniform(*OFFSET_RANGE, size=4)
    return left, top, right, bottom


def crop_box(bbox: BBox, image_hw: tuple[int, int], offsets: Offsets = EVALUATION_OFFSETS) -> Box:
    """The part of the image to crop: `bbox` grown by `offsets`, truncated, cut to the image.

    Args:
        bbox: (x, y, w, h), pixels of the full image.
        image_hw: (H, W) of the full image.
        offsets: (left, top, right, bottom), shares of w and h.

    Raises:
        UserError: the box is not finite, has no area, or does not meet the image.
    """
    if not np.isfinite(bbox).all() or bbox[2] <= 0 or bbox[3] <= 0:
        raise UserError(
            f"the box (x, y, w, h) is {_rounded(bbox)}; expected finite numbers with w and h above "
            "0; correct the box"
        )
    x, y, w, h = bbox
    left, top, right, bottom = offsets
    # Truncated towards zero, position and extent each for itself, as DAD-3DHeads does.
    x0, y0 = int(x - w * left), int(y - h * top)
    x1, y1 = x0 + int(w * (1 + left + right)), y0 + int(h * (1 + top + bottom))
    height, width = image_hw
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        raise UserError(
            f"the box (x, y, w, h) {_rounded(bbox)} holds no pixel of the {width} x {height} image "
            "(w x h); expected one around the head, in pixels of that image; correct the box"
        )
    return x0, y0, x1, y1


def crop_image(
    image: NDArray[np.uint8], box: Box, size: int
) -> tuple[NDArray[np.uint8], CropTransform]:
    """Cut `box` out of the image, resize its longest side to `size`, pad it to a square.

    Args:
        image: [H, W, 3] uint8.
        box: (x0, y0, x1, y1) within the image, from `crop_box`.
        size: side of the crop, pixels.

    Returns:
        [size, size, 3] uint8, and where each of its points lies in the full image.

    Raises:
        UserError: the box is so thin that nothing of its short side would be left.
    """
    x0, y0, x1, y1 = box
    transform = crop_transform(box, size)
    # Given the factors and no target size, OpenCV samples at exactly `scale` along both axes;
    # given the size it would stretch the short side to whole pixels.
    resized = cv2.resize(
        np.ascontiguousarray(image[y0:y1, x0:x1]),
        None,
        fx=transform.scale,
        fy=transform.scale,
        interpolation=cv2.INTER_LINEAR,
    )
    height, width = resized.shape[:2]
    left, above = int(transform.pad_x), int(transform.pad_y)
    crop = np.zeros((size, size, 3), np.uint8)
    crop[above : above + height, left : left + width] = resized
    return crop, transform


def crop_transform(box: Box, size: int) -> CropTransform:
    """Where the crop of a box lies in the full image: `crop_image` without the image.

    Raises:
        UserError: the box is so thin that nothing of its short side would be left.
    """
    x0, y0, x1, y1 = box
    scale = size / max(x1 - x0, y1 - y0)
    # The sides as OpenCV rounds them: to the nearest, a half to the even neighbour.
    width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
    if min(x1 - x0, y1 - y0) * scale < 1:
        raise UserError(
            f"the box is {x1 - x0} x {y1 - y0} pixels (w x h), less than a pixel wide in a crop of "
            f"{size}; expected one around a head; correct the box"
        )
    pad_x, pad_y = (size - width) // 2, (size - height) // 2
    return CropTransform(float(x0), float(y0), scale, float(pad_x), float(pad_y), size)


def presence(points: NDArray[np.floating], box: Box) -> NDArray[np.bool_]:
    """Which points [n, 2] of the full image lie strictly inside the box: [n] (SPEC 4)."""
    x0, y0, x1, y1 = box
    x, y = points[:, 0], points[:, 1]
    return (x > x0) & (x < x1) & (y > y0) & (y < y1)


def _rounded(bbox: BBox) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in bbox)
