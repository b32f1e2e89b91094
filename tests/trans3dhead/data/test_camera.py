"""The camera of SPEC 5 against one written out by hand."""

import numpy as np

from trans3dhead.data.camera import project_to_image, to_camera, true_rotation


def rotation_about_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def test_projection_is_the_formula_of_the_data_set() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-0.1, 0.1, (20, 3)).astype(np.float32)
    model_view, projection = rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
    model_view[3] = [0, 0, 0, 1]
    height = 240
    for vertex, pixel in zip(
        vertices, project_to_image(vertices, model_view, projection, height), strict=True
    ):
        h = projection @ model_view @ np.append(vertex.astype(np.float64), 1)
        np.testing.assert_allclose(pixel, [h[0] / h[3], height - h[1] / h[3]], rtol=1e-9)


def test_a_pinhole_puts_a_point_where_similar_triangles_say() -> None:
    focal, (centre_x, centre_y), height = 500.0, (100.0, 80.0), 200
    # y up from the lower edge: the row of the principal point counts from there.
    projection = np.array(
        [
            [focal, 0, -centre_x, 0],
            [0, focal, -(height - centre_y), 0],
            [0, 0, -1, -0.2],
            [0, 0, -1, 0],
        ]
    )
    model_view = np.eye(4)
    model_view[2, 3] = -2
    pixel = project_to_image(np.array([[0.1, 0.2, 0.0]]), model_view, projection, height)[0]
    np.testing.assert_allclose(pixel, [centre_x + focal * 0.1 / 2, centre_y - focal * 0.2 / 2])


def test_a_head_facing_the_camera_has_the_frontal_rotation() -> None:
    np.testing.assert_array_equal(true_rotation(np.eye(4)), np.diag([1.0, -1.0, -1.0]))


def test_the_rotation_carries_camera_points_to_image_axes() -> None:
    model_view = np.eye(4)
    model_view[:3, :3] = rotation_about_y(0.4)
    point = np.array([[0.1, 0.2, 0.3]])
    x, y, z = to_camera(point, model_view)[0]
    np.testing.assert_allclose(true_rotation(model_view) @ point[0], [x, -y, -z])
