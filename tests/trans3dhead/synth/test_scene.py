"""Scenes: the same for a seed, as varied as promised, attributes true to what is shown."""

import numpy as np
import pytest

from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.rotation import euler_degrees, rotation_from_euler, rotation_from_six_d
from trans3dhead.synth.scene import Scene, pose_attribute, sample_scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample_scene(np.random.default_rng(i), 288) for i in range(400)]


@pytest.mark.parametrize(
    ("angles", "pose"),
    [
        ((0, 0, 0), "front"),
        ((20, -24, 25), "front"),
        ((0, 40, 0), "sided"),
        ((-20, -74, 10), "sided"),
        ((0, 80, 0), "atypical"),
        ((-40, 0, 0), "atypical"),
        ((0, 10, 35), "atypical"),
        ((0, 120, 0), "atypical"),
    ],
)
def test_pose_goes_by_the_angles(angles: tuple[float, float, float], pose: str) -> None:
    assert pose_attribute(rotation_from_euler(np.array(angles, float))) == pose


def test_attributes_are_true(scenes: list[Scene]) -> None:
    for scene in scenes:
        attributes = scene.attributes
        assert attributes["pose"] == pose_attribute(scene.rotation)
        assert attributes["occlusions"] == scene.occluded
        assert (attributes["quality"] == "hq") == (
            scene.lens.jpeg is None and scene.lens.noise <= 3
        )
        strength = np.linalg.norm(scene.params[LAYOUT_413.expression_slice]) / 10
        assert attributes["expression"] == (strength > 0.5)
        if attributes["standard light"]:
            assert scene.light.key.direction[2] > 0  # from before the head
    every = {key: {scene.attributes[key] for scene in scenes} for key in scenes[0].attributes}
    assert every["pose"] == {"front", "sided", "atypical"}
    assert every["age"] == {"child", "young", "middle-aged", "senior"}
    for key in ("occlusions", "expression", "standard light"):
        assert every[key] == {True, False}


def test_parameters_are_within_the_network_s_reach(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert np.abs(scene.params[LAYOUT_413.deformation]).max() < 3
        six = scene.params[LAYOUT_413.rotation]
        np.testing.assert_allclose(rotation_from_six_d(six), scene.rotation, atol=1e-6)


def test_poses_are_mostly_frontal_and_reach_past_profile(scenes: list[Scene]) -> None:
    angles = np.array([euler_degrees(scene.rotation) for scene in scenes])
    assert 0.4 < (np.abs(angles[:, 1]) < 25).mean() < 0.75
    assert (np.abs(angles[:, 1]) > 60).mean() > 0.05
    assert any(np.abs(pitch) > 90 for pitch in angles[:, 0])  # yaw past 90 shows so
    sides = np.array([(scene.camera.width, scene.camera.height) for scene in scenes])
    assert sides.min() >= 256
    assert sides.max() <= 320


def test_a_scene_is_its_seed_s_alone() -> None:
    one, again, other = (sample_scene(np.random.default_rng(i), 288) for i in (7, 7, 8))
    np.testing.assert_array_equal(one.params, again.params)
    assert one.looks == again.looks
    assert one.looks != other.looks
