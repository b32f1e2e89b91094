"""What lens, sensor and file make of a picture: blur, shake, few pixels, noise, JPEG."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.synth.scene import Lens

Picture = NDArray[np.uint8]

_GRAIN_COUNT = 2**21  # three channels of 836 x 836 pixels


def photograph(picture: Picture, lens: Lens, rng: np.random.Generator) -> Picture:
    """A picture [H, W, 3] RGB as this lens would have kept it; nothing in it moves."""
    if lens.shrink > 1:
        picture = _shrunk(picture, lens.shrink)
    if lens.blur > 0.25:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), lens.blur), np.uint8)
    if lens.motion:
        kernel = _shake(lens.motion, float(rng.uniform(0, np.pi)))
        picture = np.asarray(cv2.filter2D(picture, -1, kernel), np.uint8)
    levels = np.float32(lens.noise) * _noise(picture.shape, rng)
    levels += picture * (np.float32(lens.contrast) * lens.tint)
    levels += np.float32(128 * (1 - lens.contrast) + 0.5)
    picture = np.clip(levels, 0, 255).astype(np.uint8)
    if lens.jpeg is not None:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, lens.jpeg])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _shrunk(picture: Picture, factor: float) -> Picture:
    height, width = picture.shape[:2]
    small = (round(width / factor), round(height / factor))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height)), np.uint8)


def _shake(length: float, turn: float) -> NDArray[np.float32]:
    """A line through the middle of a kernel, its weights summing to 1."""
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    half = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    ends = [np.rint(reach + sign * half).astype(int).tolist() for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA)
    symmetric = kernel.astype(np.float32) + kernel[::-1, ::-1]  # so that nothing moves
    return np.asarray(symmetric / symmetric.sum(), np.float32)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    """Normal noise to cut from: drawing it anew would take a tenth of an image's time."""
    return np.random.default_rng(0).standard_normal(_GRAIN_COUNT, np.float32)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of standard deviation 1, from a place drawn at random."""
    count = int(np.prod(shape))
    if count >= _GRAIN_COUNT:
        return rng.standard_normal(shape, np.float32)
    start = int(rng.integers(_GRAIN_COUNT - count))
    return _grain()[start : start + count].reshape(shape)
