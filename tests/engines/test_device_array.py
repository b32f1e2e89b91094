"""Arrays shared with other libraries: DLPack checked on the host by numpy and torch themselves."""

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines import device_array
from engines.device_array import CUDA_DEVICE, DeviceArray, borrow, read_capsule
from engines.errors import ContractError

HOST = (1, 0)
"""DLPack's kDLCPU: the same structures, where numpy can read them."""


def shared(values: np.ndarray) -> DeviceArray:
    return DeviceArray(values.ctypes.data, values.shape, values.dtype, owner=values, device=HOST)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int64", "bool"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1,), (5, 0, 2)])
def test_numpy_sees_our_array(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    seen = np.from_dlpack(shared(values))
    np.testing.assert_array_equal(seen, values)
    assert seen.dtype == values.dtype
    assert seen.ctypes.data == values.ctypes.data


def test_torch_sees_our_array() -> None:
    torch = pytest.importorskip("torch")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    seen = torch.from_dlpack(shared(values))
    assert seen.data_ptr() == values.ctypes.data
    assert seen.tolist() == values.tolist()


def test_nothing_is_kept_once_nobody_looks() -> None:
    array = shared(np.zeros(3, np.float32))
    taken, untaken = np.from_dlpack(array), array.__dlpack__()
    assert len(device_array._shared) == 2
    del taken
    gc.collect()
    assert len(device_array._shared) == 1
    del untaken
    assert not device_array._shared


def test_a_capsule_is_read_back() -> None:
    values = np.arange(12, dtype=np.int64).reshape(3, 4)
    for source in (shared(values), values):
        seen = read_capsule(source.__dlpack__())
        assert (seen.address, seen.shape, seen.dtype) == (values.ctypes.data, (3, 4), values.dtype)
        assert (seen.device, seen.ndim, seen.nbytes) == (HOST, 2, 96)


def test_gaps_are_refused() -> None:
    values = np.zeros((4, 6), np.float32)
    with pytest.raises(ContractError, match=r"strides \(6, 2\); expected \(3, 1\), no gaps"):
        read_capsule(values[:, ::2].__dlpack__())
    seen = read_capsule(values[:1].T.__dlpack__())  # [6, 1]: no gaps, whatever the strides say
    assert seen.shape == (6, 1)


def test_odd_types_are_refused() -> None:
    with pytest.raises(ContractError, match="of type 5 with 1 lanes came; expected plain numbers"):
        read_capsule(np.zeros(2, np.complex64).__dlpack__())


def test_neither_copies_nor_moves() -> None:
    array = shared(np.zeros(2, np.float32))
    with pytest.raises(BufferError, match="shared as it lies"):
        array.__dlpack__(copy=True)
    with pytest.raises(BufferError):
        array.__dlpack__(dl_device=(CUDA_DEVICE, 0))
    array.__dlpack__(stream=7, max_version=(1, 0), dl_device=HOST, copy=False)


def interface(**changes: Any) -> SimpleNamespace:
    described = {"version": 3, "shape": (2, 3), "typestr": "<f4", "data": (0x700, False)}
    return SimpleNamespace(__cuda_array_interface__=described | changes)


def test_the_array_interface_is_borrowed() -> None:
    seen = borrow(interface(stream=9, strides=(12, 4)), stream=5)
    assert (seen.address, seen.shape, seen.dtype.name, seen.stream) == (0x700, (2, 3), "float32", 9)
    with pytest.raises(ContractError, match=r"strides \(24, 4\); expected \(12, 4\)"):
        borrow(interface(strides=(24, 4)), stream=5)
    ours = DeviceArray(0x700, (2,), np.dtype(np.uint8), owner=None)
    assert borrow(ours, stream=5) is ours
    described = ours.__cuda_array_interface__
    again = borrow(SimpleNamespace(__cuda_array_interface__=described), stream=5)
    assert (again.address, again.shape, again.dtype) == (ours.address, ours.shape, ours.dtype)


def test_the_giver_orders_our_stream_behind_its_own() -> None:
    values = np.zeros(3, np.float32)
    asked: list[int] = []

    class Giver:
        def __dlpack_device__(self) -> tuple[int, int]:
            return (CUDA_DEVICE, 0)

        def __dlpack__(self, *, stream: int) -> Any:
            asked.append(stream)
            return values.__dlpack__()

    assert borrow(Giver(), stream=0x55).address == values.ctypes.data
    assert asked == [0x55]


def test_what_is_not_on_the_gpu_is_refused() -> None:
    with pytest.raises(ContractError, match=r"on DLPack device \(1, 0\) came; expected one on the"):
        borrow(np.zeros(3, np.float32), stream=5)
    with pytest.raises(ContractError, match=r"a list came; expected an array on the GPU"):
        borrow([1.0], stream=5)
