"""What is behind the head: walls, curtains, furniture, lights, all more or less out of focus."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def backdrop(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A background [height, width, 3] RGB of a kind drawn at random."""
    picture = _KINDS[int(rng.integers(len(_KINDS)))](rng, height, width)
    blur = float(rng.uniform(0, 3))
    if blur > 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)
    return picture


def _tone(rng: np.random.Generator, spread: float = 110) -> NDArray[np.float64]:
    """A colour [3] as rooms and streets have them: any grey, seldom much colour."""
    chroma = spread * rng.beta(1, 3)
    return np.clip(rng.uniform(15, 240) + chroma * rng.uniform(-1, 1, 3), 0, 255)


def _clouds(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Smooth colour: a wall in uneven light, a sky, leaves."""
    cells, contrast = int(rng.integers(2, 12)), rng.uniform(4, 45)
    grey = rng.normal(0, contrast, (cells, cells, 1))
    colour = rng.normal(0, contrast * rng.uniform(0.05, 0.5), (cells, cells, 3))
    coarse = np.clip(_tone(rng) + grey + colour, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _shapes(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Furniture of no particular kind: boxes, discs, bars and polygons."""
    picture = _clouds(rng, height, width)
    for _ in range(int(rng.integers(4, 22))):
        colour = _tone(rng).tolist()
        x, y = rng.integers((0, 0), (width, height)).tolist()
        reach = int(rng.uniform(0.04, 0.35) * width)
        match int(rng.integers(4)):
            case 0:
                corner = (x + reach, y + int(reach * rng.uniform(0.3, 3)))
                cv2.rectangle(picture, (x, y), corner, colour, -1)
            case 1:
                cv2.circle(picture, (x, y), reach // 2, colour, -1)
            case 2:
                end = rng.integers((0, 0), (width, height)).tolist()
                cv2.line(picture, (x, y), end, colour, max(reach // 8, 1))
            case _:
                corners = np.array([x, y]) + rng.integers(-reach, reach + 1, (5, 2))
                cv2.fillConvexPoly(picture, cv2.convexHull(corners.astype(np.int32)), colour)
    return picture


def _stripes(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Wallpaper, curtains, tiles: one or two waves of light at an angle."""
    picture = _clouds(rng, height, width)
    y, x = np.ogrid[:height, :width]
    for _ in range(int(rng.integers(1, 3))):
        turn, rate = rng.uniform(0, np.pi), 2 * np.pi / rng.uniform(4, 40)
        phase = (np.cos(turn) * rate * x + np.sin(turn) * rate * y).astype(np.float32)
        wave = np.sin(phase)
        if rng.random() < 0.5:
            wave = np.sign(wave)
        levels = (wave * np.float32(rng.uniform(4, 28)) + np.float32(32)).astype(np.uint8)
        # Lighter and darker alike: what is added is taken off again.
        brighter = cv2.add(picture, cv2.merge([levels] * 3))
        picture = np.asarray(cv2.subtract(brighter, np.full(4, 32.0)), np.uint8)
    return picture


def _lights(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A dark place with lights out of focus."""
    coarse = (_tone(rng) * rng.uniform(0.15, 0.6) * rng.uniform(0.6, 1.4, (3, 3, 1))).astype(
        np.uint8
    )
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(5, 25))):
        disc = np.zeros_like(picture)
        colour = (rng.uniform(0.3, 1, 3) * rng.uniform(30, 160)).tolist()
        centre = rng.integers((0, 0), (width, height)).tolist()
        cv2.circle(disc, centre, int(rng.uniform(0.01, 0.07) * width) + 1, colour, -1)
        picture = cv2.add(picture, disc)
    return np.asarray(picture, np.uint8)


_KINDS: tuple[Callable[[np.random.Generator, int, int], Picture], ...] = (
    _clouds,
    _shapes,
    _stripes,
    _lights,
)
