"""The order of the parameters, in all three lengths."""

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.head.layout import (
    LAYOUT_60,
    LAYOUT_160,
    LAYOUT_413,
    LAYOUTS,
    ParameterLayout,
    layout_of,
    prior,
    to_full,
)

ALL_LAYOUTS = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)


def test_counts() -> None:
    assert [layout.count for layout in (LAYOUT_413, LAYOUT_160, LAYOUT_60)] == [413, 160, 60]
    assert layout_of(160) is LAYOUT_160


def test_full_layout_is_the_readers_order() -> None:
    """Jaw before rotation: DAD-3DHeads' `to_3dmm_tensor` writes them the other way (SPEC 3)."""
    assert (LAYOUT_413.jaw_slice, LAYOUT_413.rotation) == (slice(400, 403), slice(403, 409))
    assert (LAYOUT_413.translation, LAYOUT_413.scale) == (slice(409, 412), slice(412, 413))
    assert LAYOUT_413.deformation == slice(0, 403)


@ALL_LAYOUTS
def test_slices_tile_the_vector(layout: ParameterLayout) -> None:
    parts = [layout.shape_slice, layout.expression_slice, layout.jaw_slice]
    parts += [layout.rotation, layout.translation, layout.scale]
    positions = np.concatenate([np.arange(layout.count)[part] for part in parts])
    np.testing.assert_array_equal(positions, np.arange(layout.count))


@ALL_LAYOUTS
def test_to_full_keeps_each_group(layout: ParameterLayout) -> None:
    params = np.random.default_rng(0).normal(size=(2, 5, layout.count)).astype(np.float32)
    full = to_full(params)
    assert full.shape == (2, 5, 413) and full.dtype == np.float32
    for group in ("rotation", "translation", "scale"):
        np.testing.assert_array_equal(
            full[..., getattr(LAYOUT_413, group)], params[..., getattr(layout, group)]
        )
    np.testing.assert_array_equal(full[..., : layout.shape], params[..., layout.shape_slice])
    np.testing.assert_array_equal(
        full[..., 300 : 300 + layout.expression], params[..., layout.expression_slice]
    )
    assert np.count_nonzero(full[0, 0]) == layout.count
    np.testing.assert_array_equal(to_full(prior(layout)), prior(LAYOUT_413))


def test_unknown_count_is_refused() -> None:
    with pytest.raises(UserError, match="412 head parameters; expected one of 413, 160, 60"):
        layout_of(412)
