"""Rotation conventions against scipy, and round trips."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.rotation import (
    FRONTAL,
    euler_degrees,
    rodrigues,
    rotation_from_euler,
    rotation_from_six_d,
    six_d_from_rotation,
    wrap_degrees,
)

SIX = arrays(np.float64, (4, 6), elements=st.floats(-10, 10))
VECTOR = arrays(np.float64, (4, 3), elements=st.floats(-3, 3))
ANGLES = arrays(np.float64, (4, 3), elements=st.floats(-179, 179))


def test_prior_is_the_frontal_face() -> None:
    rotation = rotation_from_six_d(prior(LAYOUT_413)[LAYOUT_413.rotation])
    np.testing.assert_array_equal(rotation, FRONTAL)
    np.testing.assert_array_equal(euler_degrees(rotation), np.zeros(3))
    np.testing.assert_allclose(rotation_from_euler(np.zeros(3)), FRONTAL, atol=1e-15)


def test_signs_of_the_angles() -> None:
    """Pitch looks up, yaw to the image's left, roll clockwise (SPEC 4); image y points down."""
    pitched, yawed, rolled = rotation_from_euler(np.diag([20.0, 20.0, 20.0]))
    nose, crown = np.array([0.0, 0, 1]), np.array([0.0, 1, 0])
    assert (pitched @ nose)[1] < 0, "the nose moves up"
    assert (yawed @ nose)[0] < 0, "the nose moves to the image's left"
    assert (rolled @ crown)[0] > 0, "the crown leans to the image's right"


def test_euler_follows_its_definition() -> None:
    rotations = Rotation.random(200, random_state=1).as_matrix()
    transposed = Rotation.from_matrix(np.swapaxes(rotations, 1, 2))
    x, y, z = transposed.as_euler("xyz", degrees=True).T  # lower case is extrinsic in scipy
    defined = np.stack([wrap_degrees(x - 180), wrap_degrees(y), wrap_degrees(z)], axis=1)
    difference = wrap_degrees(euler_degrees(rotations) - defined)
    assert np.abs(difference).max() < 1e-9


@given(SIX)
def test_six_d_gives_rotations(six: np.ndarray) -> None:
    first, second = six[:, :3], six[:, 3:]
    area = np.linalg.norm(np.cross(first, second), axis=1)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    six = six[(area > 1e-3 * lengths) & (lengths > 1e-6)]
    rotation = rotation_from_six_d(six)
    identity = np.broadcast_to(np.eye(3), rotation.shape)
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, 1, 2), identity, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-9)
    again = rotation_from_six_d(six_d_from_rotation(rotation))
    np.testing.assert_allclose(again, rotation, atol=1e-9)


@given(ANGLES)
def test_euler_round_trip(degrees: np.ndarray) -> None:
    degrees[:, 1] *= 89 / 179  # yaw stays short of profile, where pitch and roll jump
    np.testing.assert_allclose(euler_degrees(rotation_from_euler(degrees)), degrees, atol=1e-6)


@given(VECTOR)
@settings(max_examples=50)
def test_rodrigues_is_scipys(axis_angle: np.ndarray) -> None:
    expected = Rotation.from_rotvec(axis_angle).as_matrix()
    np.testing.assert_allclose(rodrigues(axis_angle), expected, atol=1e-12)


@given(ANGLES)
def test_wrap(degrees: np.ndarray) -> None:
    degrees = degrees * 50
    wrapped = wrap_degrees(degrees)
    assert (wrapped > -180).all() and (wrapped <= 180).all()
    turns = (degrees - wrapped) / 360
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


def test_wrap_keeps_plus_180() -> None:
    np.testing.assert_array_equal(wrap_degrees(np.array([180.0, -180, 540, 0])), [180, 180, 180, 0])


def test_dtypes_are_kept() -> None:
    for dtype in (np.float32, np.float64):
        vectors = np.ones((2, 3), dtype)
        rotation = rodrigues(vectors)
        results = [rotation, rotation_from_euler(vectors), euler_degrees(rotation)]
        results += [six_d_from_rotation(rotation), wrap_degrees(vectors)]
        results.append(rotation_from_six_d(six_d_from_rotation(rotation)))
        assert {result.dtype for result in results} == {np.dtype(dtype)}
