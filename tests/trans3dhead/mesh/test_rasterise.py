"""The rasteriser against one that asks every pixel about every triangle."""

import numpy as np
import pytest

from trans3dhead.mesh.rasterise import rasterise


def slow_raster(
    points: np.ndarray, depth: np.ndarray, faces: np.ndarray, values: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Values [side, side] of the nearest triangle at each centre, and how deep it is (or inf)."""
    found, nearest = np.full((side, side), np.nan), np.full((side, side), np.inf)
    for a, b, c in faces:
        (ax, ay), to_b, to_c = points[a], points[b] - points[a], points[c] - points[a]
        area = to_b[0] * to_c[1] - to_b[1] * to_c[0]
        if area >= 0:
            continue
        for row in range(side):
            for column in range(side):
                x, y = column + 0.5 - ax, row + 0.5 - ay
                u = (x * to_c[1] - y * to_c[0]) / area
                v = (to_b[0] * y - to_b[1] * x) / area
                if min(u, v, 1 - u - v) < 0:
                    continue
                z = (1 - u - v) * depth[a] + u * depth[b] + v * depth[c]
                if z < nearest[row, column]:
                    nearest[row, column] = z
                    found[row, column] = (1 - u - v) * values[a] + u * values[b] + v * values[c]
    return found, nearest


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_slow_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    side = 24
    points = rng.uniform(-8, side + 8, (30, 2)).astype(np.float32)  # some leave the image
    depth = rng.uniform(1, 3, 30).astype(np.float32)
    values = rng.uniform(0, 255, (30, 1)).astype(np.float32)
    faces = rng.integers(0, 30, (25, 3)).astype(np.int32)
    pixel, painted = rasterise(points, depth, faces, values, (side, side))
    expected, _ = slow_raster(points, depth, faces, values[:, 0], side)
    picture = np.full(side * side, np.nan)
    picture[pixel] = painted[:, 0]
    picture = picture.reshape(side, side)
    np.testing.assert_array_equal(np.isnan(picture), np.isnan(expected))
    np.testing.assert_allclose(picture, expected, atol=0.02)


def test_neighbours_share_no_pixel_and_leave_no_gap() -> None:
    """A grid of triangles, whose corners lie on pixel centres, covers a square exactly once."""
    x, y = np.meshgrid(np.arange(9) * 1.5 + 2.5, np.arange(9) * 1.5 + 2.5)
    points = np.stack([x.ravel(), y.ravel()], -1).astype(np.float32)
    corner = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 9, corner + 1], -1),
            np.stack([corner + 1, corner + 9, corner + 10], -1),
        ]
    ).astype(np.int32)
    depth, values = np.ones(81, np.float32), points.copy()
    times = np.zeros(20 * 20, int)
    for face in faces:
        pixel, _ = rasterise(points, depth, face[None], values, (20, 20))
        times[pixel] += 1
    times = times.reshape(20, 20)
    assert times.max() == 1
    np.testing.assert_array_equal(times[2:14, 2:14], 1)  # 12 whole pixels, [2.5, 14.5)
    assert times.sum() == 144


def test_back_faces_and_an_empty_image_show_nothing() -> None:
    points = np.array([[1, 1], [9, 1], [1, 9]], np.float32)
    depth, values = np.ones(3, np.float32), np.ones((3, 2), np.float32)
    away, towards = np.array([[0, 1, 2]], np.int32), np.array([[0, 2, 1]], np.int32)
    assert len(rasterise(points, depth, away, values, (10, 10))[0]) == 0
    assert len(rasterise(points + 50, depth, towards, values, (10, 10))[0]) == 0
    pixel, painted = rasterise(points, depth, towards, values, (10, 10))
    assert len(pixel) > 20
    np.testing.assert_allclose(painted, 1)
