import numpy as np
import pytest

from benchmarks.parity.tensors import compare, ulps_between


def test_known_differences() -> None:
    reference = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    engine = np.array([[3.0, 4.0], [0.0, 0.5]], np.float32)
    found = compare("params", engine, reference)
    assert found.largest_absolute == 0.5
    assert found.mean_absolute == 0.125
    assert found.relative == pytest.approx(0.1)
    assert found.cosine == pytest.approx(25 / (5 * np.sqrt(25.25)))
    assert (found.worst_sample, found.worst_index) == (1, (1,))
    assert found.finite


def test_equal_tensors_differ_by_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(4, 68, 2)).astype(np.float32)
    found = compare("landmarks", values.copy(), values)
    assert found.largest_absolute == 0
    assert found.largest_ulps == 0
    assert found.cosine == pytest.approx(1)


def test_numbers_that_are_not_finite_are_counted_placed_and_left_out() -> None:
    reference = np.ones((3, 2), np.float32)
    engine = reference.copy()
    engine[1, 1], engine[2, 0], engine[0, 0] = np.nan, np.inf, 1.25
    found = compare("params", engine, reference)
    assert (found.nan, found.infinite, found.finite) == (1, 1, False)
    assert (found.worst_sample, found.worst_index) == (1, (1,))
    assert found.largest_absolute == 0.25


def test_nothing_finite_means_nothing_measured() -> None:
    found = compare("params", np.full((2, 3), np.nan, np.float32), np.ones((2, 3), np.float32))
    assert found.largest_absolute is None
    assert found.cosine is None
    assert found.largest_ulps is None


def test_ulps_count_representable_numbers_through_zero() -> None:
    one = np.float32(1)
    after = np.nextafter(one, np.float32(2))
    tiny = np.nextafter(np.float32(0), one)
    first = np.array([1, after, 0, tiny, -1], np.float32)
    second = np.array([1, 1, -0.0, -tiny, after], np.float32)
    steps = ulps_between(first, second)
    assert steps[:4].tolist() == [0, 1, 0, 2]
    assert steps[4] == 2 * int(np.array(1, np.float32).view(np.int32)) + 1
