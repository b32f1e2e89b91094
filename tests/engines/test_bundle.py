"""A bundle is read whole or refused with one line."""

from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle, Reference, npz_bytes, read_npz
from engines.errors import ContractError


def test_what_a_bundle_holds(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.graph("fp16").name == "fp16.onnx"
    reference = opened.reference()
    assert len(reference) == 4
    assert set(reference.outputs()) == {"landmarks", "params", "rotation"}
    assert opened.head_arrays()["faces"].shape == (4, 3)


def test_a_missing_folder_and_a_foreign_one(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(ContractError, match=r"has no contract.json; .*trans3dhead export"):
            Bundle.open(folder)


def test_a_cut_contract(bundle: Path) -> None:
    path = bundle / "contract.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ContractError, match="not whole JSON"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["fp16.onnx", "head.npz", "reference.npz"])
@pytest.mark.parametrize("damage", ["cut", "altered", "missing"])
def test_a_damaged_file(bundle: Path, name: str, damage: str) -> None:
    path = bundle / name
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[:-1])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    opened = Bundle.open(bundle)
    said = f"{name} is missing" if damage == "missing" else f"{name} has sha256 .*cut or altered"
    with pytest.raises(ContractError, match=said):
        opened.file(name)


def test_a_recipe_the_bundle_lacks(bundle: Path) -> None:
    with pytest.raises(ContractError, match=r"recipe bf16 is not in .*fp16, fp32; export anew"):
        Bundle.open(bundle).graph("bf16")


def test_an_unlisted_file(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    with pytest.raises(ContractError, match=r"lists no notes.txt"):
        Bundle.open(bundle).file("notes.txt")


def test_archives_depend_on_their_arrays_alone(tmp_path: Path) -> None:
    arrays = {"b": np.arange(3), "a": np.ones((2, 2), np.float32)}
    data = npz_bytes(arrays)
    assert data == npz_bytes(dict(reversed(arrays.items())))
    (tmp_path / "a.npz").write_bytes(data)
    read = read_npz(tmp_path / "a.npz")
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


def test_a_broken_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for data in (b"", b"no zip", npz_bytes({"a": np.arange(100)})[:-40]):
        path.write_bytes(data)
        with pytest.raises(ContractError, match=r"not a whole .npz file"):
            read_npz(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([object()], dtype=object))
    with pytest.raises(ContractError, match=r"not a whole .npz file"):
        read_npz(tmp_path / "a.npz")


def test_a_reference_leaves_out_what_it_has_not(bundle: Path) -> None:
    reference = Bundle.open(bundle).reference()
    assert reference.vertices is None
    (bundle / "copy.npz").write_bytes(reference.to_bytes())
    again = Reference(**read_npz(bundle / "copy.npz"))
    assert np.array_equal(again.params, reference.params)
