"""The crop against one written out pixel by pixel, and its inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import UserError
from trans3dhead.data.crop import CropTransform, crop_box, crop_image, presence, random_offsets


def slow_crop(image: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Every pixel of the crop by its definition: bilinear between the centres around it."""
    x0, y0, x1, y1 = box
    part = image[y0:y1, x0:x1].astype(np.float64)
    scale = size / max(x1 - x0, y1 - y0)
    width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
    pad_x, pad_y = (size - width) // 2, (size - height) // 2
    crop = np.zeros((size, size, 3))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) / scale - 0.5, 0), part.shape[0] - 1)
            x = min(max((column + 0.5) / scale - 0.5, 0), part.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, part.shape[0] - 1), min(left + 1, part.shape[1] - 1)
            v, u = y - top, x - left
            crop[pad_y + row, pad_x + column] = (
                part[top, left] * (1 - v) * (1 - u)
                + part[top, right] * (1 - v) * u
                + part[bottom, left] * v * (1 - u)
                + part[bottom, right] * v * u
            )
    return crop


@pytest.mark.parametrize(
    ("bbox", "size"),
    [
        ((5.0, 4.0, 20.0, 20.0), 32),  # enlarged, square
        ((5.0, 4.0, 17.3, 9.6), 32),  # wide: padded above and below by an odd number
        ((2.7, 3.1, 7.2, 20.0), 15),  # high and shrunk: padded left and right
        ((-6.0, 10.0, 30.0, 30.0), 33),  # leaves the image on the left and below
        ((30.0, -9.5, 40.0, 25.0), 20),  # leaves it above and on the right
    ],
)
def test_equals_the_slow_crop(bbox: tuple[float, float, float, float], size: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (31, 43, 3), dtype=np.uint8)
    box = crop_box(bbox, image.shape[:2])
    crop, _ = crop_image(image, box, size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    # OpenCV interpolates in fixed point: at most one grey level off.
    assert np.abs(crop - slow_crop(image, box, size)).max() <= 1


def test_the_odd_pixel_of_padding_goes_below() -> None:
    crop, transform = crop_image(np.full((9, 20, 3), 255, np.uint8), (0, 0, 20, 9), 20)
    rows = np.flatnonzero(crop[:, 0, 0])
    assert (rows[0], 19 - rows[-1]) == (5, 6)
    assert transform.pad_y == 5


def test_box_grows_truncates_and_is_cut() -> None:
    assert crop_box((10, 20, 33, 27), (100, 100)) == (6, 17, 6 + 39, 17 + 32)
    assert crop_box((10, 20, 33, 27), (100, 100), (0, 0, 0.5, 1)) == (10, 20, 10 + 49, 20 + 54)
    assert crop_box((-10, 90, 50, 40), (100, 30)) == (0, 86, 30, 100)


def test_a_marker_is_found_where_the_transform_says() -> None:
    image = np.zeros((90, 140, 3), np.uint8)
    image[40:44, 70:74] = 255  # its centre is (72, 42) in continuous pixels
    crop, transform = crop_image(image, crop_box((50, 20, 61, 47), (90, 140)), 128)
    weights = crop[..., 0].astype(np.float64)
    rows, columns = np.indices(weights.shape) + 0.5
    found = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
    np.testing.assert_allclose(found, transform.to_crop(np.array([72.0, 42.0])), atol=0.1)


coordinate = st.floats(-200, 200)
side = st.floats(20, 300)


@given(
    bbox=st.tuples(coordinate, coordinate, side, side),
    point=st.tuples(coordinate, coordinate),
    size=st.integers(32, 300),
)
def test_round_trip(
    bbox: tuple[float, float, float, float], point: tuple[float, float], size: int
) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    try:
        box = crop_box(bbox, (240, 320))
        _, transform = crop_image(image, box, size)
    except UserError:
        return
    there_and_back = transform.to_full(transform.to_crop(np.array(point)))
    np.testing.assert_allclose(there_and_back, point, atol=1e-9)
    corners = transform.to_crop(np.array([box[:2], box[2:]], np.float64))
    assert corners.min() >= 0
    # The short side is rounded to whole pixels: its far edge may stand half a pixel outside.
    assert corners.max() <= size + 0.5
    assert CropTransform.from_array(transform.as_array()) == transform


def test_presence_is_strict() -> None:
    points = np.array([[10.0, 15.0], [10.01, 15.0], [19.99, 19.99], [20.0, 15.0], [15.0, 10.0]])
    assert presence(points, (10, 10, 20, 20)).tolist() == [False, True, True, False, False]


def test_random_offsets_stay_in_the_range() -> None:
    rng = np.random.default_rng(0)
    draws = np.array([random_offsets(rng) for _ in range(500)])
    assert draws.shape == (500, 4)
    assert draws.min() >= 0.05
    assert draws.max() <= 0.15
    assert np.ptp(draws, axis=0).min() > 0.09


@pytest.mark.parametrize(
    "bbox",
    [(10, 10, 0, 5), (10, 10, float("nan"), 5), (500, 10, 20, 20), (-90, 10, 20, 20)],
)
def test_a_box_that_holds_nothing_is_refused(bbox: tuple[float, float, float, float]) -> None:
    with pytest.raises(UserError, match=r"box .*; expected .*; correct the box"):
        crop_box(bbox, (100, 100))


def test_a_box_too_thin_for_the_crop_is_refused() -> None:
    with pytest.raises(UserError, match="2 x 1000"):
        crop_image(np.zeros((1000, 10, 3), np.uint8), (0, 0, 2, 1000), 256)
