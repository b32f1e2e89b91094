import math

import numpy as np
import pytest

from trans3dhead.head.rotation import FRONTAL, rodrigues, rotation_from_euler
from trans3dhead.metrics.pose import pose_error


def model_view(rotation: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = FRONTAL @ rotation
    matrix[:3, 3] = [1, 2, 3]
    return matrix


def test_equals_the_definition_in_loops():
    rng = np.random.default_rng(0)
    predicted, true = rotation_from_euler(rng.uniform(-80, 80, (2, 3)))
    total = 0.0
    for i in range(3):
        for j in range(3):
            product = sum(predicted[i, k] * true[j, k] for k in range(3))
            total += ((i == j) - product) ** 2
    assert pose_error(predicted, model_view(true)) == pytest.approx(math.sqrt(total), rel=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 1.0, 30.0, 90.0, 180.0])
def test_known_answer_by_angle(degrees: float):
    true = rotation_from_euler(np.array([12.0, -40.0, 7.0]))
    axis = np.array([2.0, -1.0, 2.0]) / 3
    turned = rodrigues(axis * math.radians(degrees)) @ true
    expected = 2 * math.sqrt(2) * math.sin(math.radians(degrees) / 2)
    assert pose_error(turned, model_view(true)) == pytest.approx(expected, abs=1e-12)


def test_a_transposed_rotation_is_seen():
    true = rotation_from_euler(np.array([12.0, -40.0, 7.0]))
    assert pose_error(true, model_view(true)) < 1e-12
    assert pose_error(true.T, model_view(true)) > 0.1


def test_the_frontal_head_is_the_identity_of_the_camera():
    assert pose_error(FRONTAL, np.eye(4)) == 0
