import numpy as np
import pytest

from benchmarks.parity.quantities import angles, movements
from trans3dhead.head.layout import LAYOUT_160, LAYOUT_413, prior
from trans3dhead.head.rotation import rotation_from_euler


def of(found, name: str):
    return next(quantity for quantity in found if quantity.full_name == name)


def test_units_do_not_depend_on_the_size_of_the_crop() -> None:
    still = {"landmarks": np.zeros((2, 68, 2), np.float32)}
    for size in (128, 256):
        moved = {"landmarks": np.full((2, 68, 2), [0.6 * size / 256, 0.8 * size / 256])}
        assert np.allclose(of(movements(moved, still, size), "landmarks/movement").values, 1)


def test_vertices_move_in_millimetres() -> None:
    still = {"vertices": np.zeros((1, 5, 3), np.float32)}
    moved = {"vertices": np.full((1, 5, 3), [0.003, 0, 0.004])}
    quantity = of(movements(moved, still, 256), "vertices/movement")
    assert quantity.unit == "mm"
    assert np.allclose(quantity.values, 5)


@pytest.mark.parametrize("degrees", [1e-3, 5.0, 120.0])
def test_angles_are_exact_even_where_they_are_small(degrees: float) -> None:
    first = rotation_from_euler(np.array([[10.0, 20.0, 30.0]]))
    turn = rotation_from_euler(np.array([[0.0, 0.0, degrees]])) @ np.diag([1.0, -1.0, -1.0])
    assert angles(turn @ first, first)[0] == pytest.approx(degrees, rel=1e-6)


def test_what_is_no_rotation_counts_by_its_distance() -> None:
    assert angles(np.full((1, 3, 3), 1e6), np.eye(3)[None])[0] == 180


@pytest.mark.parametrize("layout", [LAYOUT_413, LAYOUT_160])
def test_scale_and_translation_show_as_pixels_the_rest_as_it_is(layout) -> None:
    still = np.tile(prior(layout), (2, 1)).astype(np.float32)
    moved = still.copy()
    moved[0, layout.scale] *= 1.005  # 5 -> 5.025: corners at 0.1 m move 0.32 px along each axis
    moved[1, layout.translation.start + 1] += 1 / 128
    moved[1, layout.translation.stop - 1] += 9  # tz is unused, and so not in the placement
    moved[1, 7] += 0.25
    found = movements({"params": moved}, {"params": still}, 64)
    placement = of(found, "params/placement").values
    assert placement[0] == pytest.approx(np.sqrt(2) * 0.025 * 0.1 * 128, rel=1e-4)
    assert placement[1] == pytest.approx(1, rel=1e-4)
    coefficients = of(found, "params/coefficients").values
    assert coefficients.shape == (2, layout.count - 3)
    assert np.sort(coefficients[1])[-2:].tolist() == pytest.approx([0.25, 9])
    assert coefficients[0].max() == 0
