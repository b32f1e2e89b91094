"""Files of head models: round trip, identity, and every way to be broken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.head.model import HeadModel
from trans3dhead.head.surface import SUBSETS, HeadSurface


@pytest.fixture(scope="module")
def saved(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("head") / "head.npz"
    head.save(path)
    return path


@pytest.fixture
def arrays(head: HeadModel) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in head.arrays().items()}


def rebuilt(arrays: dict[str, np.ndarray]) -> HeadModel:
    return HeadModel.from_arrays(
        arrays, name="x", licence="x", redistributable=True, origin="x.npz"
    )


def test_round_trip(head: HeadModel, saved: Path) -> None:
    again = HeadModel.load(saved)
    assert (again.name, again.licence, again.redistributable) == ("builtin", "Apache-2.0", True)
    assert again.sha256 == head.sha256
    for name, array in head.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)
        assert getattr(again, name).dtype == array.dtype


def test_surface_draws_like_its_head(head: HeadModel, tmp_path: Path) -> None:
    head.surface().save(tmp_path / "head.npz")
    surface = HeadSurface.load(tmp_path / "head.npz")
    vertices = head.template[None]
    np.testing.assert_array_equal(surface.landmarks68(vertices), head.landmarks68(vertices))
    assert {name: len(subset) for name, subset in surface.subsets.items()} == SUBSETS
    with np.load(tmp_path / "head.npz") as file:
        assert "shape_directions" not in file.files, "licensed data must not slip into a bundle"
    with pytest.raises(UserError, match="lacks the array 'template'"):
        HeadModel.load(tmp_path / "head.npz")


def test_sha256_sees_every_array(head: HeadModel) -> None:
    seen = {head.sha256}
    for name, array in head.arrays().items():
        changed = array.copy()
        changed.flat[0] += 1
        seen.add(replace(head, **{name: changed}).sha256)
    assert len(seen) == len(head.arrays()) + 1


def test_truncated_file(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.npz").write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.npz cannot be read as \.npz"):
            HeadModel.load(tmp_path / "cut.npz")


def test_damaged_and_foreign_files(saved: Path, tmp_path: Path) -> None:
    damaged = bytearray(saved.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(UserError, match="cannot be read"):
        HeadModel.load(tmp_path / "damaged.npz")
    np.save(tmp_path / "foreign.npy", np.zeros(3))
    with pytest.raises(UserError, match="cannot be read"):
        HeadModel.load(tmp_path / "foreign.npy")
    np.savez(tmp_path / "bare.npz", faces=np.zeros(3))
    with pytest.raises(UserError, match="no readable 'metadata'"):
        HeadModel.load(tmp_path / "bare.npz")
    with pytest.raises(UserError, match="is not a file"):
        HeadModel.load(tmp_path / "absent.npz")


def test_missing_array(arrays: dict[str, np.ndarray]) -> None:
    del arrays["joint_regressor"]
    with pytest.raises(UserError, match=r"x\.npz lacks the array 'joint_regressor'"):
        rebuilt(arrays)


def test_wrong_shape(arrays: dict[str, np.ndarray]) -> None:
    arrays["shape_directions"] = arrays["shape_directions"][..., :399]
    with pytest.raises(UserError, match=r"shape_directions has shape \[5023, 3, 399\]"):
        rebuilt(arrays)


def test_not_finite(arrays: dict[str, np.ndarray]) -> None:
    arrays["template"][7, 1] = np.nan
    with pytest.raises(UserError, match="template holds values that are not finite"):
        rebuilt(arrays)


@pytest.mark.parametrize("name", ["skinning_weights", "static_landmark_barycentric"])
def test_rows_that_do_not_sum_to_one(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name][9] *= 1.01
    with pytest.raises(UserError, match=rf"a row of {name} sums to 1\.01; expected 1"):
        rebuilt(arrays)


@pytest.mark.parametrize("name", ["faces", "subset_face", "dynamic_landmark_faces"])
def test_indices_outside_the_mesh(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name].flat[5] = 20000
    with pytest.raises(UserError, match=rf"{name} holds indices from \d+ to 20000"):
        rebuilt(arrays)
