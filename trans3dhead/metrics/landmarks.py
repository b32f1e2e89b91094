"""NME: how far the 68 landmarks are, in per cent of the head's size (SPEC 6)."""

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError


def nme(
    predicted: NDArray[np.floating], true: NDArray[np.floating], bbox: NDArray[np.floating]
) -> float:
    """Mean distance of the landmarks / sqrt(w h) of the annotated box * 100.

    Args:
        predicted: [68, 2], pixels of the full image, never rounded to whole pixels.
        true: [68, 2], pixels of the full image.
        bbox: [4] x, y, w, h, pixels of the full image.

    Raises:
        UserError: the box has no area. Landmarks that all coincide are fine.
    """
    width, height = float(bbox[2]), float(bbox[3])
    if not (width > 0 and height > 0):
        raise UserError(
            f"the box is {width:g} x {height:g} pixels (w x h); expected both above 0; "
            "correct the item's bbox"
        )
    distances = np.linalg.norm(predicted.astype(np.float64) - true.astype(np.float64), axis=-1)
    return float(distances.mean() / np.sqrt(width * height) * 100)
