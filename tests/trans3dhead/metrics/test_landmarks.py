import math

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.metrics.landmarks import nme

BOX = np.array([10.0, 20.0, 160.0, 90.0])  # sqrt(w h) = 120


def test_equals_the_definition_in_loops():
    rng = np.random.default_rng(0)
    predicted, true = rng.uniform(0, 300, (2, 68, 2))
    total = 0.0
    for (px, py), (tx, ty) in zip(predicted.tolist(), true.tolist(), strict=True):
        total += math.sqrt((px - tx) ** 2 + (py - ty) ** 2)
    assert nme(predicted, true, BOX) == pytest.approx(total / 68 / 120 * 100, rel=1e-12)


def test_known_answer():
    true = np.zeros((68, 2))
    assert nme(true + np.array([3, 4]), true, BOX) == pytest.approx(5 / 120 * 100)
    assert nme(true, true, BOX) == 0


def test_fractions_of_a_pixel_count():
    true = np.full((68, 2), 10.0)
    assert nme(true + np.array([0.3, 0.4]), true, BOX) == pytest.approx(0.5 / 120 * 100)


def test_float32_answers_are_measured_in_float64():
    true = np.full((68, 2), 1000.1)
    expected = abs(float(np.float32(1000.1)) - 1000.1) * math.sqrt(2) / 120 * 100
    assert nme(true.astype(np.float32), true, BOX) == pytest.approx(expected, rel=1e-9)


def test_landmarks_that_all_coincide_have_a_value():
    rng = np.random.default_rng(1)
    true = rng.uniform(0, 100, (68, 2))
    collapsed = np.full((68, 2), 50.0)
    assert np.isfinite(nme(collapsed, true, BOX))


@pytest.mark.parametrize("size", [(0, 50), (50, 0), (-3, 50), (-3, -4), (math.nan, 5)])
def test_a_box_without_area_is_refused(size: tuple[float, float]):
    with pytest.raises(UserError, match=r"the box is .* expected both above 0"):
        nme(np.zeros((68, 2)), np.zeros((68, 2)), np.array([0, 0, *size]))
