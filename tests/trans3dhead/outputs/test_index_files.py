"""Users' index files: what they may hold, and that nothing in them is run."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.outputs.index_files import read_subsets


def save(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(value) if not isinstance(value, dict) else value, allow_pickle=True)
    return path


def test_a_plain_array_is_read_sorted_and_each_index_once(tmp_path: Path) -> None:
    path = save(tmp_path / "points.npy", np.array([7, 3, 7, 5022]))
    (points,) = read_subsets({"mine": path}).values()
    assert points.tolist() == [3, 7, 5022]
    assert points.dtype == np.int32


def test_a_folder_of_dictionaries_is_read_without_its_cheeks(tmp_path: Path) -> None:
    save(tmp_path / "points" / "nose.npy", OrderedDict(tip=[9, 1], bridge=np.array([4])))
    save(tmp_path / "points" / "lips.npy", OrderedDict(upper=[2, 1]))
    save(tmp_path / "points" / "cheeks.npy", OrderedDict(left=[100]))
    (points,) = read_subsets({"mine": tmp_path / "points"}).values()
    assert points.tolist() == [1, 2, 4, 9]


class Trap:
    """Runs a command where a pickle of it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return exec, (f"open({str(self.path)!r}, 'w')",)


def test_what_a_pickle_would_run_is_not_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    path = save(tmp_path / "points.npy", {"nose": Trap(sprung)})
    with pytest.raises(UserError, match=r"builtins\.exec, which is not run"):
        read_subsets({"mine": path})
    assert not sprung.exists()
    with path.open("rb") as file:  # the trap is real: Python's own loader springs it
        file.seek(128)
        pickle.load(file)
    assert sprung.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([0.5, 1]), "float64 values"),
        (np.array([0, 5023]), "0 to 5023; expected vertex indices from 0 to 5022"),
        (np.array([-1, 4]), "-1 to 4"),
        (np.zeros(0, int), "holds nothing"),
        ({"nose": "tip"}, "values"),
    ],
)
def test_what_is_no_vertex_index_is_refused(tmp_path: Path, value: object, message: str) -> None:
    path = save(tmp_path / "points.npy", value)
    with pytest.raises(UserError, match=message):
        read_subsets({"mine": path})


def test_missing_broken_and_empty_files_are_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check the path"):
        read_subsets({"mine": tmp_path / "points.npy"})
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(UserError, match="cannot be read as vertex indices"):
        read_subsets({"mine": tmp_path / "text.npy"})
    cut = save(tmp_path / "cut.npy", {"nose": list(range(50))})
    cut.write_bytes(cut.read_bytes()[:-30])
    with pytest.raises(UserError, match="cannot be read as vertex indices"):
        read_subsets({"mine": cut})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no \.npy file"):
        read_subsets({"mine": tmp_path / "empty"})


def test_the_head_models_own_names_are_taken(tmp_path: Path) -> None:
    path = save(tmp_path / "points.npy", np.array([1]))
    with pytest.raises(UserError, match="'face' is the head model's own"):
        read_subsets({"face": path})
