"""Skinning against smplx, landmarks, projection."""

import numpy as np
import torch
from smplx.lbs import lbs

from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import DEPTH_OFFSET, JAW_JOINT, HeadModel, project
from trans3dhead.head.rotation import rotation_from_six_d
from trans3dhead.head.surface import LANDMARKS_7

PARENTS = torch.tensor([-1, 0, 1, 1, 1])


def smplx_vertices(head: HeadModel, params: np.ndarray) -> np.ndarray:
    """FLAME's own skinning in float64, with neck, eyes and global rotation at zero."""
    pose = np.zeros((len(params), 5, 3))
    pose[:, JAW_JOINT] = params[:, LAYOUT_413.jaw_slice]
    arrays = {name: torch.from_numpy(array.astype(float)) for name, array in head.arrays().items()}
    vertices, _ = lbs(
        torch.from_numpy(params[:, :400].astype(float)),
        torch.from_numpy(pose.reshape(-1, 15)),
        arrays["template"],
        arrays["shape_directions"],
        arrays["pose_directions"].reshape(-1, 36).T,
        arrays["joint_regressor"],
        PARENTS,
        arrays["skinning_weights"],
    )
    return vertices.numpy() + np.array([0, 0, DEPTH_OFFSET])


def test_skinning_equals_smplx(head: HeadModel, params: np.ndarray) -> None:
    vertices = head.model_vertices(params)
    assert vertices.dtype == np.float32
    assert np.abs(vertices - smplx_vertices(head, params)).max() < 1e-6


def test_skinning_sees_the_order_of_jaw_and_rotation(head: HeadModel, params: np.ndarray) -> None:
    """The oracle tells a vector in DAD's other order (rotation before jaw) from ours."""
    swapped = params.copy()
    swapped[:, 400:409] = np.roll(params[:, 400:409], 6, axis=1)
    assert np.abs(head.model_vertices(swapped) - smplx_vertices(head, params)).max() > 1e-3


def test_a_batch_equals_its_singles(head: HeadModel, params: np.ndarray) -> None:
    singles = [head.posed_vertices(row[None])[0] for row in params[:5]]
    np.testing.assert_allclose(head.posed_vertices(params[:5]), singles, atol=1e-6)


def test_posing_turns_model_space(head: HeadModel, params: np.ndarray) -> None:
    posed, still = head.posed_vertices(params[:3]), head.model_vertices(params[:3])
    for p, s, row in zip(posed, still, params, strict=False):
        rotation = rotation_from_six_d(row[LAYOUT_413.rotation])
        np.testing.assert_allclose(p, s @ rotation.T, atol=1e-6)


def test_zero_parameters_give_the_template(head: HeadModel) -> None:
    vertices = head.model_vertices(prior(LAYOUT_413)[None])[0]
    np.testing.assert_allclose(vertices - np.array([0, 0, DEPTH_OFFSET]), head.template, atol=1e-6)


def test_projection() -> None:
    posed = np.array([[[0.0, 0, 0], [0.1, -0.05, 7]]])
    params = prior(LAYOUT_413)[None].astype(np.float64)
    params[:, LAYOUT_413.translation] = (0.5, -0.25, 99)
    np.testing.assert_allclose(project(posed, params, 256)[0], [[192, 96], [268.8, 57.6]])
    params[:, LAYOUT_413.scale] = -3  # below -1 the scale is held at 1e-8
    np.testing.assert_allclose(project(posed, params, 256)[0], [[192, 96], [192, 96]], atol=1e-4)


def test_landmarks_are_barycentric_points(head: HeadModel, params: np.ndarray) -> None:
    vertices = head.posed_vertices(params[:2])
    landmarks = head.landmarks68(vertices)
    assert landmarks.shape == (2, 68, 3) and landmarks.dtype == np.float32
    face, weights = head.static_landmark_faces[13], head.static_landmark_barycentric[13]
    np.testing.assert_allclose(
        landmarks[1, 17 + 13], weights @ vertices[1, head.faces[face]], atol=1e-7
    )
    face, weights = head.dynamic_landmark_faces[0, 4], head.dynamic_landmark_barycentric[0, 4]
    np.testing.assert_allclose(landmarks[0, 4], weights @ vertices[0, head.faces[face]], atol=1e-7)
    np.testing.assert_array_equal(head.landmarks7(vertices), landmarks[:, list(LANDMARKS_7)])
