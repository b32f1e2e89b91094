"""Depth and normals against geometry that is known."""

import json
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from trans3dhead.head.model import HeadModel
from trans3dhead.outputs import visible as visible_module
from trans3dhead.outputs.files import depth_files, normals_files
from trans3dhead.outputs.maps import depth_map, normals_map
from trans3dhead.outputs.prediction import Prediction

HW = (220, 300)
BBOX = (70.0, 40.0, 150.0, 160.0)


def with_mesh(prediction: Prediction, mesh: trimesh.Trimesh) -> Prediction:
    """Another mesh, metres in image axes, before the same camera."""
    vertices = np.asarray(mesh.vertices, np.float32)
    surface = replace(prediction.surface, faces=np.asarray(mesh.faces, np.int32))
    camera = prediction.to_full_image()
    return replace(
        prediction, vertices=vertices, projected=camera.pixels(vertices), surface=surface
    )


def depth_by_asking_every_triangle(prediction: Prediction, pixel: int) -> float:
    """z of the nearest triangle that faces the camera at a pixel's centre, float64."""
    point = np.array([pixel % HW[1], pixel // HW[1]]) + 0.5
    corners = prediction.projected[prediction.surface.faces]  # [F, 3, 2]
    z = prediction.vertices[prediction.surface.faces, 2].astype(np.float64)
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    to = point - a
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (to[:, 0] * ac[:, 1] - to[:, 1] * ac[:, 0]) / area
        v = (ab[:, 0] * to[:, 1] - ab[:, 1] * to[:, 0]) / area
    inside = (area < 0) & (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6)
    depth = (1 - u - v) * z[:, 0] + u * z[:, 1] + v * z[:, 2]
    return float(depth[inside].min())


@pytest.mark.parametrize("degrees", [(0, 0, 0), (-15, 50, 20)])
def test_depth_is_the_nearest_triangles_z(place_head: Any, degrees: tuple[int, ...]) -> None:
    prediction = place_head(HW, BBOX, degrees=degrees)
    pixels, depth = depth_map(prediction, HW)
    assert len(pixels) > 8000
    chosen = np.random.default_rng(0).choice(len(pixels), 60, replace=False)
    expected = [depth_by_asking_every_triangle(prediction, int(pixels[k])) for k in chosen]
    np.testing.assert_allclose(depth[chosen], expected, atol=1e-5)


def test_the_depth_files_give_back_metres(place_head: Any) -> None:
    prediction = place_head(HW, BBOX, degrees=(10, -20, 0))
    files = depth_files(prediction, HW)
    scale = json.loads(files["-depth.json"])
    data = np.frombuffer(files["-depth.png"], np.uint8)  # type: ignore[arg-type]
    levels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert levels is not None
    assert levels.shape == HW
    assert levels.dtype == np.uint16
    pixels, depth = depth_map(prediction, HW)
    metres = (levels.astype(float) - scale["zero_level"]) * scale["metres_per_step"]
    np.testing.assert_allclose(metres.ravel()[pixels], depth, atol=scale["metres_per_step"])
    np.testing.assert_array_equal(np.flatnonzero(levels != scale["nothing_level"]), pixels)
    # the nose is nearer than the edge of the cheek, and z grows into the scene
    nose, cheek = prediction.mesh_landmarks[[30, 2]].astype(int)
    assert metres[nose[1], nose[0]] < metres[cheek[1], cheek[0] + 3] - 0.02
    assert scale["pixels_per_metre"] == prediction.to_full_image().pixels_per_metre


def test_normals_of_a_sphere_point_away_from_its_middle(place_head: Any) -> None:
    prediction = with_mesh(place_head(HW, BBOX), trimesh.creation.icosphere(5, radius=0.08))
    pixels, colors = normals_map(prediction, HW)
    camera = prediction.to_full_image()
    centres = np.stack([pixels % HW[1], pixels // HW[1]], -1) + 0.5
    xy = (centres - camera.origin) / camera.pixels_per_metre / 0.08
    inner = np.hypot(*xy.T) < 0.9
    x, y = xy[inner].T
    expected = np.stack([x, -y, np.sqrt(1 - x**2 - y**2)], -1)  # y up, z to the viewer
    found = colors[inner] / 255 * 2 - 1
    assert inner.sum() > 3000
    assert np.abs(found - expected).max() < 0.02


def test_normals_of_a_tilted_plane_are_all_the_same(place_head: Any, head: HeadModel) -> None:
    tilt = np.radians(30)
    plane = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    # turned about x so that its upper edge leans away from the viewer: it looks up
    plane[:, 2] = -plane[:, 1] * np.tan(tilt)
    mesh = trimesh.Trimesh(plane * 0.05, [[0, 2, 1], [0, 3, 2]], process=False)
    pixels, colors = normals_map(with_mesh(place_head(HW, BBOX), mesh), HW)
    expected = np.array([0, np.sin(tilt), np.cos(tilt)])
    assert len(pixels) > 2000
    np.testing.assert_allclose(
        colors / 255 * 2 - 1, np.broadcast_to(expected, colors.shape), atol=0.005
    )


def test_the_normals_file_is_rgb_and_black_where_no_head_is(place_head: Any) -> None:
    prediction = place_head(HW, BBOX)
    data = np.frombuffer(normals_files(prediction, HW)["-normals.png"], np.uint8)  # type: ignore[arg-type]
    bgr = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert bgr is not None
    picture = bgr[..., ::-1].reshape(-1, 3)
    pixels, colors = normals_map(prediction, HW)
    np.testing.assert_array_equal(picture[pixels], colors)
    assert not np.delete(picture, pixels, axis=0).any()


def test_a_photo_worked_on_in_bands_is_the_same(
    place_head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = place_head(HW, BBOX, degrees=(5, 30, -10))
    whole = depth_map(prediction, HW)
    monkeypatch.setattr(visible_module, "BAND_PIXELS", 17 * HW[1])
    banded = depth_map(prediction, HW)
    np.testing.assert_array_equal(banded[0], whole[0])
    np.testing.assert_allclose(banded[1], whole[1], atol=1e-5)


def test_a_head_outside_the_photo_shows_nothing(place_head: Any) -> None:
    prediction = place_head(HW, BBOX)
    away = replace(prediction, projected=prediction.projected + np.array([5000, 0]))
    assert len(depth_map(away, HW)[0]) == 0
    assert len(normals_map(away, HW)[0]) == 0
