"""Reading a licensed pickle without running what is in it.

A pickle is a program: it may call any function by name. Here only what FLAME's files are made of is
known: numpy's arrays, scipy's sparse matrices and chumpy's array, the last two by stand-ins that
keep their state and do nothing else. Any other name stops the reading before anything is called.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from engines.errors import UserError


class RefusedName(pickle.UnpicklingError):
    """A pickle asked for something that is not on the list."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}, which is not run")


class _State:
    """An object of a class that is not here: what was stored of it."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class _Chumpy(_State):
    """chumpy.ch.Ch, whose numbers are its `x`."""


class _CscMatrix(_State):
    """scipy's compressed columns."""


class _CsrMatrix(_State):
    """scipy's compressed rows."""


def _reconstruct(kind: Any, shape: Any, code: Any) -> NDArray[Any]:
    """numpy's empty array, whose shape and numbers come afterwards."""
    if kind is not np.ndarray or shape != (0,):
        raise RefusedName(f"numpy.core.multiarray._reconstruct of {kind!r} with shape {shape!r}")
    return np.empty(0, np.int8)


def _scalar(dtype: Any, data: Any) -> Any:
    """numpy's scalar."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype)[0]


def _reconstructor(kind: Any, base: Any, state: Any) -> _State:
    """Python 2's way to make an object: of the stand-ins alone."""
    if not (isinstance(kind, type) and issubclass(kind, _State)) or base is not object:
        raise RefusedName(f"copy_reg._reconstructor of {kind!r}")
    return kind()


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """Python 3 stores bytes so in the protocols of Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedName(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


_NUMPY: dict[str, dict[str, Callable[..., Any]]] = {
    f"{package}.multiarray": {"_reconstruct": _reconstruct, "scalar": _scalar}
    for package in ("numpy.core", "numpy._core")
}
KNOWN: dict[str, dict[str, Callable[..., Any]]] = {
    **_NUMPY,
    "numpy": {"ndarray": np.ndarray, "dtype": np.dtype},
    "scipy.sparse.csc": {"csc_matrix": _CscMatrix},
    "scipy.sparse._csc": {"csc_matrix": _CscMatrix},
    "scipy.sparse.csr": {"csr_matrix": _CsrMatrix},
    "scipy.sparse._csr": {"csr_matrix": _CsrMatrix},
    "chumpy.ch": {"Ch": _Chumpy},
    "copy_reg": {"_reconstructor": _reconstructor},
    "copyreg": {"_reconstructor": _reconstructor},
    "__builtin__": {"object": object},
    "builtins": {"object": object},
    "_codecs": {"encode": _encode},
    "collections": {"OrderedDict": OrderedDict},
}
"""Everything that a pickle may name."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in KNOWN.get(module, {}):
            raise RefusedName(f"{module}.{name}")
        return KNOWN[module][name]


def unpickle(stream: BinaryIO) -> Any:
    """The next pickle of a stream, by Python 2 or 3; the stand-ins are in it as they are.

    Raises:
        RefusedName: it names something that is not on the list; nothing of it was run.
        Exception: it is broken, in as many ways as a pickle has operations.
    """
    return _Reader(stream, encoding="latin1").load()


def read_pickle(path: Path) -> dict[str, Any]:
    """A pickled dict, by Python 2 or 3, whose values are numbers, text and arrays.

    Args:
        path: `.pkl`, or a `.npy` with a pickled dict in it.

    Returns:
        Name to value; sparse matrices dense, chumpy's arrays as numpy's.

    Raises:
        UserError: no such file, cut short, no dict, or it names something that is not on the
            list: nothing of it was run.
    """
    wish = "expected a pickled dict of arrays"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {wish}; check it") from None
    try:
        value = unpickle(_pickled(data))
    except RefusedName as error:
        raise UserError(
            f"{path}: {error}; {wish} of numpy, scipy.sparse and chumpy alone; take the file from "
            "where it is published, and trust this one nowhere"
        ) from None
    except Exception as error:
        raise UserError(
            f"{path} is no whole pickle ({type(error).__name__}: {error}); {wish}; copy it anew"
        ) from None
    if isinstance(value, np.ndarray) and value.dtype.hasobject and value.shape == ():
        value = value.item()
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; {wish}; is it another file?")
    return {str(name): _plain(found) for name, found in value.items()}


def _pickled(data: bytes) -> io.BytesIO:
    """The pickle itself: a `.npy` has it behind its header."""
    stream = io.BytesIO(data)
    if not data.startswith(npy.MAGIC_PREFIX):
        return stream
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    _, _, dtype = read(stream)
    if not dtype.hasobject:
        raise ValueError(f"a .npy of {dtype}, not of a dict")
    return stream


def _plain(value: Any) -> Any:
    if isinstance(value, _Chumpy):
        return _plain(value.state.get("x"))
    if isinstance(value, _CscMatrix | _CsrMatrix):
        make = csc_matrix if isinstance(value, _CscMatrix) else csr_matrix
        state = value.state
        parts = (state["data"], state["indices"], state["indptr"])
        return make(parts, shape=state.get("_shape", state.get("shape"))).toarray()
    return value
