"""Reading the user's vertex subsets: plain index arrays, or DAD-3DHeads' keypoint folders.

DAD-3DHeads keeps its 191 and 445 points as folders (keypoints_191, keypoints_445) with one file a
part of the face, each a pickled dictionary of index lists. They are read without running what a
pickle may hold: dictionaries, lists, numbers and arrays, nothing else.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from engines.errors import UserError, one_line
from trans3dhead.head.pickles import unpickle
from trans3dhead.head.surface import SUBSETS, VERTEX_COUNT

LEFT_OUT = "cheeks.npy"
"""DAD-3DHeads leaves this part out when it counts 445 points."""


def read_subsets(paths: Mapping[str, Path]) -> dict[str, NDArray[np.int32]]:
    """Read vertex subsets.

    Args:
        paths: a name of the user's choice to a .npy file or a folder of them.

    Returns:
        The name to its vertex indices, int32, each once, ascending.

    Raises:
        UserError: a name is the head model's own; a file is missing, holds something else than
            whole numbers, or a number that is no vertex.
    """
    for name in paths:
        if name in SUBSETS:
            raise UserError(
                f"the subset name {name!r} is the head model's own; expected another; rename it"
            )
    return {name: _read_subset(path) for name, path in paths.items()}


def _read_subset(path: Path) -> NDArray[np.int32]:
    if path.is_dir():
        files = sorted(file for file in path.glob("*.npy") if file.name != LEFT_OUT)
        if not files:
            raise UserError(
                f"{path} holds no .npy file; expected a keypoint folder; check the path"
            )
    else:
        files = [path]
    return np.unique(np.concatenate([_read_file(file) for file in files]))


def _read_file(path: Path) -> NDArray[np.int32]:
    try:
        with path.open("rb") as file:
            indices = _flat(_load(file))
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); expected vertex indices; check the path"
        ) from None
    except (ValueError, EOFError, TypeError, pickle.UnpicklingError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as vertex indices ({one_line(error)}); expected a .npy file of "
            "whole numbers or DAD-3DHeads' dictionaries of them; write it again with numpy.save"
        ) from None
    if not len(indices) or indices.min() < 0 or indices.max() >= VERTEX_COUNT:
        found = f"{indices.min()} to {indices.max()}" if len(indices) else "nothing"
        raise UserError(
            f"{path} holds {found}; expected vertex indices from 0 to {VERTEX_COUNT - 1}; the file "
            "belongs to another mesh"
        )
    return indices.astype(np.int32)


def _load(file: BinaryIO) -> Any:
    """What a .npy file holds; of a pickled one only plain data, or an UnpicklingError."""
    version = npy_format.read_magic(file)
    read_header = (
        npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    )
    _, _, dtype = read_header(file)
    if dtype.hasobject:
        return unpickle(file)
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _flat(value: Any) -> NDArray[np.int64]:
    """All whole numbers in nested dictionaries, lists and arrays, in their order."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        value = value.ravel().tolist()
    if isinstance(value, (list, tuple)):
        return np.concatenate([np.zeros(0, np.int64), *(_flat(part) for part in value)])
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"it holds {array.dtype} values")
    return array.ravel().astype(np.int64)
