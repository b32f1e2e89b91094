"""FLAME's files, made up here as Python 2 pickled them: converted whole, or refused by name."""

import io
import os
import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from engines.errors import UserError
from trans3dhead.cli.main import main
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.flame import MODEL
from trans3dhead.head.model import HeadModel
from trans3dhead.head.pickles import read_pickle
from trans3dhead.head.source import HEAD_FILE, resolve_head

PARENTS = np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32)


class Ch:
    """chumpy's array, as far as a pickle of it goes."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._dirty_vars = set[str]()

    def __getstate__(self) -> dict[str, Any]:
        return {"x": self.x, "name": None}


@pytest.fixture
def _chumpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Chumpy while pickles are written; it is gone when they are read."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch")}
    modules["chumpy.ch"].Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setattr(Ch, "__module__", "chumpy.ch")
    with monkeypatch.context() as inside:
        for name, module in modules.items():
            inside.setitem(sys.modules, name, module)
        yield


def python2(value: Any) -> bytes:
    """A pickle with the names of Python 2's modules, as the published files have them."""
    data = pickle.dumps(value, protocol=2)
    for new, old in (
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
        (b"scipy.sparse._csc", b"scipy.sparse.csc"),
    ):
        data = data.replace(b"c" + new + b"\n", b"c" + old + b"\n")
    return data


def model_arrays(head: HeadModel) -> dict[str, Any]:
    return {
        "v_template": Ch(head.template.astype(np.float64)),
        "shapedirs": Ch(head.shape_directions.astype(np.float64)),
        "posedirs": head.pose_directions.astype(np.float64),
        "J_regressor": csc_matrix(head.joint_regressor.astype(np.float64)),
        "weights": head.skinning_weights.astype(np.float64),
        "kintree_table": PARENTS,
        "f": head.faces.astype(np.uint32),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return builtin_head()


@pytest.fixture
def files(head: HeadModel, tmp_path: Path, _chumpy: None) -> Path:
    """A folder with everything; the model is small in nothing but its names."""
    folder = tmp_path / "flame"
    (folder / "static" / "flame_indices").mkdir(parents=True)
    (folder / "generic_model.pkl").write_bytes(python2(model_arrays(head)))
    static = {
        "lmk_face_idx": head.static_landmark_faces,
        "lmk_b_coords": head.static_landmark_barycentric,
    }
    (folder / "static" / "flame_static_embedding.pkl").write_bytes(python2(static))
    dynamic = {
        "lmk_face_idx": head.dynamic_landmark_faces,
        "lmk_b_coords": head.dynamic_landmark_barycentric,
    }
    np.save(folder / "static" / "flame_dynamic_embedding.npy", dynamic, allow_pickle=True)  # type: ignore[arg-type]
    for name in ("head", "face"):
        np.save(folder / "static" / "flame_indices" / f"{name}.npy", head.subsets[name])
    np.save(folder / "static" / "head_indices.npy", head.subsets["head_with_ears"])
    return folder


def convert(folder: Path, out: Path) -> int:
    return main(["flame", "convert", str(folder / "generic_model.pkl"), "--out", str(out)])


def test_every_array_arrives(head: HeadModel, files: Path, tmp_path: Path) -> None:
    assert b"chumpy.ch\nCh\n" in (files / "generic_model.pkl").read_bytes()
    assert convert(files, tmp_path / "out") == 0
    found = resolve_head(tmp_path / "out")
    for name, array in head.arrays().items():
        if name != "colors":
            np.testing.assert_array_equal(getattr(found, name), array)
    assert not found.redistributable and "flame.is.tue.mpg.de" in found.licence
    assert found.sha256 != head.sha256  # grey in the place of colours


def test_the_result_holds_no_pickle_and_its_numbers_are_sealed(files: Path, tmp_path: Path) -> None:
    assert convert(files, tmp_path / "out") == 0
    path = tmp_path / "out" / HEAD_FILE
    with np.load(path, allow_pickle=False) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept["template"] = kept["template"] * np.float32(1.001)
    np.savez(path, allow_pickle=False, **kept)
    with pytest.raises(UserError, match="the file was altered, convert it again"):
        resolve_head(tmp_path / "out")


class Runs:
    """Makes a file when it is unpickled, if it is."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


class Evaluates:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


def test_what_a_pickle_would_run_is_refused_by_name(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for trap, name in ((Runs(tmp_path / "trace"), "posix.system"), (Evaluates(), "eval")):
        (files / "generic_model.pkl").write_bytes(pickle.dumps({"f": trap}, protocol=2))
        assert convert(files, tmp_path / "out") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{name}, which is not run" in line
    assert not (tmp_path / "trace").exists() and not (tmp_path / "out").exists()
    subprocess.run(
        [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"],
        input=pickle.dumps(Runs(tmp_path / "trace")),
        check=False,
    )
    assert (tmp_path / "trace").exists()  # the trap works where it is not refused


@pytest.mark.parametrize(
    ("opcodes", "name"),
    [
        (b"cchumpy.reordering\nSelect\n.", "chumpy.reordering.Select"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "_codecs.encode to 'rot13'"),
        (b"ccopy_reg\n_reconstructor\n(cnumpy\ndtype\nc__builtin__\nobject\nNtR.", "copy_reg"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I9999999999\ntVb\ntR.", "9999"),
    ],
)
def test_names_outside_the_list_are_refused(opcodes: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "trap.pkl").write_bytes(opcodes)
    with pytest.raises(UserError, match="which is not run") as told:
        read_pickle(tmp_path / "trap.pkl")
    assert name in str(told.value)


def test_a_file_cut_short_is_refused_wherever_it_ends(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (files / "generic_model.pkl").read_bytes()
    for share in (0.0, 0.1, 0.5, 0.999999):
        (files / "generic_model.pkl").write_bytes(whole[: int(share * len(whole))])
        assert convert(files, tmp_path / "out") == 2
        assert "is no whole pickle" in capsys.readouterr().err


def test_all_that_is_wrong_with_the_arrays_is_listed(
    head: HeadModel, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = model_arrays(head)
    del arrays["weights"]
    arrays["f"] = arrays["f"][:10]
    (files / "generic_model.pkl").write_bytes(python2(arrays))
    assert convert(files, tmp_path / "out") == 2
    line = capsys.readouterr().err
    assert "weights is missing" in line
    assert f"f is uint32 [10, 3], expected {list(MODEL['f'])}" in line


def test_another_skeleton_is_refused(
    head: HeadModel, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = model_arrays(head) | {"kintree_table": np.array([[-1, 0, 1, 2, 3], range(5)])}
    (files / "generic_model.pkl").write_bytes(python2(arrays))
    assert convert(files, tmp_path / "out") == 2
    assert "[-1, 0, 1, 2, 3]; expected [-1, 0, 1, 1, 1]" in capsys.readouterr().err


def test_missing_and_double_files_are_listed(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "static" / "head_indices.npy").rename(files / "other.npy")
    (files / "flame_static_embedding.pkl").write_bytes(b"")
    assert convert(files, tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "2 flame_static_embedding.pkl" in told and "no head_indices.npy" in told


def test_a_pickled_subset_is_refused(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([Evaluates()], object), allow_pickle=True)
    (files / "static" / "head_indices.npy").write_bytes(stream.getvalue())
    assert convert(files, tmp_path / "out") == 2
    assert "expected vertex numbers as .npy" in capsys.readouterr().err


def test_a_head_that_is_there_stays(files: Path, tmp_path: Path) -> None:
    assert convert(files, tmp_path / "out") == 0
    before = (tmp_path / "out" / HEAD_FILE).read_bytes()
    assert convert(files, tmp_path / "out") == 2
    assert (tmp_path / "out" / HEAD_FILE).read_bytes() == before
