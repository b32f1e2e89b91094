"""Drawings lie where the numbers say, and leave the image alone."""

import numpy as np
import pytest

from trans3dhead.head.rotation import FRONTAL
from trans3dhead.outputs.drawing import (
    AXIS_COLORS,
    LANDMARK_COLOR,
    draw_points,
    draw_pose,
    lay_over,
)


def centre_of(weights: np.ndarray) -> np.ndarray:
    """(x, y) of the middle of weights [H, W], in pixels that cover [k, k + 1)."""
    rows, columns = np.indices(weights.shape) + 0.5
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("shape", [(64, 64), (90, 200), (333, 120), (720, 1280)])
@pytest.mark.parametrize("share", [(0.3, 0.6), (0.51, 0.27)])
def test_a_dot_lies_within_half_a_pixel_of_its_landmark(
    shape: tuple[int, int], share: tuple[float, float]
) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    point = np.array(share) * (shape[1], shape[0])
    drawn = draw_points(image, point[None])
    assert np.abs(centre_of(drawn[..., 1].astype(float)) - point).max() < 0.5
    assert not image.any()


def test_landmarks_outside_the_image_draw_nothing() -> None:
    image = np.full((40, 40, 3), 9, np.uint8)
    drawn = draw_points(image, np.array([[-100.0, 20], [1e9, 1e9]]))
    np.testing.assert_array_equal(drawn, image)


def test_opacity_mixes_with_the_image() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    pixels, colors = np.array([0, 4]), np.array([[200.0, 0, 300], [0, 0, 0]])
    hidden = lay_over(image, pixels, colors, opacity=0)
    np.testing.assert_array_equal(hidden, image)
    mixed = lay_over(image, pixels, colors, opacity=0.5)
    assert mixed[0, 0].tolist() == [150, 50, 178]  # 300 is cut to 255
    assert mixed[1, 1].tolist() == [50, 50, 50]
    assert (mixed[0, 1:] == 100).all()
    assert (image == 100).all()


def test_a_frontal_face_has_its_left_on_the_images_right_and_up_above() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    drawn = draw_pose(image, FRONTAL, np.array([200.0, 200.0]), length=160)
    left, up, _ = (np.all(drawn == color, axis=-1) for color in AXIS_COLORS)
    assert centre_of(left)[0] > 240
    assert centre_of(up)[1] < 160


def test_landmark_color_is_used() -> None:
    drawn = draw_points(np.zeros((30, 30, 3), np.uint8), np.array([[5.0, 5], [25, 25]]))
    assert (drawn == LANDMARK_COLOR).all(axis=-1).any()
