"""Drawings lie where the numbers say, and leave the image alone."""

import numpy as np
import pytest

from trans3dhead.drawing import AXIS_COLORS, LANDMARK_COLOR, draw_landmarks, draw_mesh, draw_pose
from trans3dhead.head.rotation import FRONTAL


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
    drawn = draw_landmarks(image, point[None])
    assert np.abs(centre_of(drawn[..., 1].astype(float)) - point).max() < 0.5
    assert not image.any()


def test_landmarks_outside_the_image_draw_nothing() -> None:
    image = np.full((40, 40, 3), 9, np.uint8)
    drawn = draw_landmarks(image, np.array([[-100.0, 20], [1e9, 1e9]]))
    np.testing.assert_array_equal(drawn, image)


def test_the_nearer_triangle_hides_the_farther_and_backs_are_not_drawn() -> None:
    """Three copies of a triangle: far and blue, near and red, nearest but seen from behind."""
    corners = np.array([[10.0, 10], [40, 10], [10, 40]])
    projected = np.concatenate([corners] * 3)
    depth = np.repeat([0.3, 0.2, 0.1], 3)
    posed = np.concatenate([projected / 100, depth[:, None]], axis=1)
    faces = np.array([[0, 2, 1], [3, 5, 4], [6, 7, 8]])
    colors = np.repeat(np.array([[0, 0, 255], [255, 0, 0], [0, 255, 0]], np.uint8), 3, axis=0)
    image = np.zeros((50, 50, 3), np.uint8)
    drawn = draw_mesh(image, projected, posed, faces, colors, opacity=1)
    red, green, blue = drawn[15, 15]
    assert red > 100
    assert green == blue == 0
    assert not drawn[45, 45].any()


def test_opacity_mixes_with_the_image() -> None:
    projected = np.array([[-50.0, -50], [200, -50], [-50, 200]])
    posed = np.concatenate([projected / 100, np.zeros((3, 1))], axis=1)
    colors = np.full((3, 3), 200, np.uint8)
    image = np.full((20, 20, 3), 100, np.uint8)
    faces = np.array([[0, 2, 1]])
    hidden = draw_mesh(image, projected, posed, faces, colors, opacity=0)
    np.testing.assert_array_equal(hidden, image)
    mixed = draw_mesh(image, projected, posed, faces, colors, opacity=0.5)
    full = draw_mesh(image, projected, posed, faces, colors, opacity=1)
    assert abs(float(mixed.mean()) - (100 + full.mean()) / 2) < 1


def test_a_frontal_face_has_its_left_on_the_images_right_and_up_above() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    drawn = draw_pose(image, FRONTAL, np.array([200.0, 200.0]), length=160)
    left, up, _ = (np.all(drawn == color, axis=-1) for color in AXIS_COLORS)
    assert centre_of(left)[0] > 240
    assert centre_of(up)[1] < 160


def test_landmark_color_is_used() -> None:
    drawn = draw_landmarks(np.zeros((30, 30, 3), np.uint8), np.array([[5.0, 5], [25, 25]]))
    assert (drawn == LANDMARK_COLOR).all(axis=-1).any()
