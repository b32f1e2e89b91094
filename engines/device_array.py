"""Arrays on the GPU that other libraries see without a copy, and theirs seen by us.

Two protocols: `__cuda_array_interface__` (numba's, version 3) and DLPack (the C structures of
dlpack.h 0.8, held in a capsule). torch, CuPy, JAX, numba and PyCUDA speak at least one of them.
"""

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import ContractError

CUDA_DEVICE = 2
"""kDLCUDA."""

TYPE_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
"""numpy's kind to DLPack's type code."""


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """A C-contiguous array whose values are ready: nobody has to wait for a stream."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: Any
    """Kept alive as long as the array."""
    device: tuple[int, int] = (CUDA_DEVICE, 0)
    """DLPack's kind of device, and its number."""
    stream: int | None = None
    """Of a borrowed array: the stream to wait for before it is read."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule; `stream` needs nothing, the values are ready.

        Raises:
            BufferError: a copy or another device is asked for.
        """
        if copy or dl_device not in (None, self.device):
            raise BufferError("this array is shared as it lies; ask for no copy and no move")
        return _make_capsule(self)


def borrow(value: Any, stream: int) -> DeviceArray:
    """See another library's GPU array without a copy.

    Args:
        value: has `__dlpack__` (then its library makes `stream` wait for it), or
            `__cuda_array_interface__` (then `DeviceArray.stream` may name one to wait for).
        stream: handle of the stream on which it will be read.

    Raises:
        ContractError: it is no such array, lies elsewhere, or has gaps between its rows.
    """
    if isinstance(value, DeviceArray):
        return value
    if hasattr(value, "__dlpack__"):
        device = tuple(map(int, value.__dlpack_device__()))
        if device[0] != CUDA_DEVICE:
            raise ContractError(
                f"an array on DLPack device {device} came; expected one on the GPU, {CUDA_DEVICE}; "
                "move it there, or call infer() with numpy arrays"
            )
        return read_capsule(value.__dlpack__(stream=stream))
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        raise ContractError(
            f"a {type(value).__name__} came; expected an array on the GPU, with __dlpack__ or "
            "__cuda_array_interface__; call infer() with numpy arrays"
        )
    dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
    _refuse_gaps(shape, interface.get("strides"), dtype.itemsize)
    address = interface["data"][0]
    return DeviceArray(address, shape, dtype, owner=value, stream=interface.get("stream"))


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("number", ctypes.c_int32))


class _Type(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("type", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


_NAME = b"dltensor"
"""Of a capsule that nobody took yet; who takes it renames it and calls the deleter."""

_shared: dict[int, tuple[Any, ...]] = {}
"""What given-out capsules point at, by the address of their structure, until it is deleted."""

_python = ctypes.PyDLL(None)
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_python.PyCapsule_IsValid.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)


def _delete(managed: int) -> None:
    _shared.pop(managed, None)


def _drop_capsule(capsule: int) -> None:
    if _python.PyCapsule_IsValid(capsule, _NAME):  # nobody took it
        _delete(_python.PyCapsule_GetPointer(capsule, _NAME))


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_delete)
_DESTRUCTOR = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_drop_capsule)


def _make_capsule(array: DeviceArray) -> Any:
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    managed = _Managed()
    managed.tensor.data = array.address
    managed.tensor.device = _Device(*array.device)
    managed.tensor.ndim = array.ndim
    managed.tensor.type = _Type(TYPE_CODES[array.dtype.kind], 8 * array.dtype.itemsize, 1)
    managed.tensor.shape = shape
    managed.deleter = ctypes.cast(_DELETER, ctypes.c_void_p)
    address = ctypes.addressof(managed)
    _shared[address] = (managed, shape, array)
    return _python.PyCapsule_New(address, _NAME, ctypes.cast(_DESTRUCTOR, ctypes.c_void_p))


def read_capsule(capsule: Any) -> DeviceArray:
    """The array in a DLPack capsule that nobody took yet; the capsule keeps it alive."""
    pointer = _python.PyCapsule_GetPointer(id(capsule), _NAME)
    tensor = _Managed.from_address(pointer).tensor
    kinds = {code: kind for kind, code in TYPE_CODES.items()}
    if tensor.type.code not in kinds or tensor.type.lanes != 1:
        raise ContractError(
            f"a DLPack array of type {tensor.type.code} with {tensor.type.lanes} lanes came; "
            "expected plain numbers; convert it"
        )
    dtype = np.dtype(f"{kinds[tensor.type.code]}{tensor.type.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tensor.strides[: tensor.ndim] if tensor.strides else None
    _refuse_gaps(shape, strides, 1)
    return DeviceArray(
        (tensor.data or 0) + tensor.byte_offset,
        shape,
        dtype,
        owner=capsule,
        device=(tensor.device.kind, tensor.device.number),
    )


def _refuse_gaps(shape: tuple[int, ...], strides: Any, unit: int) -> None:
    """Raise where strides, counted in `unit`, are not those of a C-contiguous array."""
    expected = [unit * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if strides is None:
        return
    wrong = [
        axis for axis, size in enumerate(shape) if size > 1 and strides[axis] != expected[axis]
    ]
    if wrong:
        raise ContractError(
            f"an array of shape {shape} came with strides {tuple(strides)}; expected "
            f"{tuple(expected)}, no gaps; make it contiguous"
        )
