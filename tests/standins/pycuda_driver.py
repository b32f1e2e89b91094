"""Stands in for pycuda.driver: same names, a failure is an exception.

Held to the real one's names by test_api_names.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from standins.gpu import OUT_OF_MEMORY, PRIMARY, GpuError, gpu
from standins.gpu import Stream as GpuStream


class Error(Exception):
    pass


class MemoryError(Error):
    pass


class LogicError(Error):
    pass


@contextmanager
def _call(name: str, *, context: bool = True) -> Iterator[None]:
    try:
        gpu().call(name, needs_context=context)
        yield
    except GpuError as error:
        kind = MemoryError if error.code == OUT_OF_MEMORY else LogicError
        raise kind(f"{name} failed: {error}") from None


def init(flags: int = 0) -> None:
    with _call("cuInit", context=False):
        pass


class Context:
    def __init__(self) -> None:
        gpu().retained += 1

    def detach(self) -> None:
        """Called when the process ends, after the stand-ins are gone."""

    def push(self) -> None:
        with _call("cuCtxPushCurrent", context=False):
            gpu().contexts.append(PRIMARY)

    @staticmethod
    def pop() -> None:
        with _call("cuCtxPopCurrent"):
            gpu().contexts.pop()

    @staticmethod
    def synchronize() -> None:
        with _call("cuCtxSynchronize"):
            for handle in list(gpu().streams):
                gpu().synchronize(handle)


class Device:
    def __init__(self, ordinal: int) -> None:
        with _call("cuDeviceGet", context=False):
            self._ordinal = ordinal

    def retain_primary_context(self) -> Context:
        with _call("cuDevicePrimaryCtxRetain", context=False):
            return Context()


class Stream:
    def __init__(self, flags: int = 0) -> None:
        with _call("cuStreamCreate"):
            self._gpu = gpu()
            self._handle = self._gpu.make_handle()
            self._gpu.streams[self._handle] = GpuStream()

    @property
    def handle(self) -> int:
        return self._handle

    def synchronize(self) -> None:
        with _call("cuStreamSynchronize"):
            gpu().synchronize(self._handle)

    def __del__(self) -> None:
        if hasattr(self, "_gpu"):
            self._gpu.streams.pop(self._handle, None)


class Event:
    def __init__(self, flags: int = 0) -> None:
        with _call("cuEventCreate"):
            self._gpu = gpu()
            self._handle = self._gpu.make_handle()
            self._gpu.events[self._handle] = None

    def record(self, stream: Stream | None = None) -> "Event":
        assert stream is not None
        with _call("cuEventRecord"):
            gpu().record(self._handle, stream.handle)
        return self

    def time_since(self, event: "Event") -> float:
        with _call("cuEventElapsedTime"):
            start, end = gpu().events[event._handle], gpu().events[self._handle]
            if start is None or end is None:
                raise GpuError(400)
            return float(end - start)

    def __del__(self) -> None:
        if hasattr(self, "_gpu"):
            self._gpu.events.pop(self._handle, None)


class DeviceAllocation:
    def __init__(self, address: int) -> None:
        self._address = address

    def __int__(self) -> int:
        return self._address

    def __index__(self) -> int:
        return self._address

    def free(self) -> None:
        with _call("cuMemFree"):
            gpu().free(self._address, gpu().memory)


class PagelockedHostAllocation:
    """What numpy keeps as the base of an array over page-locked memory."""

    def __init__(self, address: int, size: int) -> None:
        self._address = address
        self.__array_interface__ = {
            "version": 3, "shape": (size,), "typestr": "|u1", "data": (address, False),
        }  # fmt: skip

    def free(self) -> None:
        with _call("cuMemFreeHost"):
            gpu().free(self._address, gpu().host_memory)


def mem_alloc(size: int) -> DeviceAllocation:
    with _call("cuMemAlloc"):
        return DeviceAllocation(gpu().allocate(size, gpu().memory))


def pagelocked_empty(
    shape: int | tuple[int, ...], dtype: Any, order: str = "C", mem_flags: int = 0
) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with _call("cuMemHostAlloc"):
        allocation = PagelockedHostAllocation(gpu().allocate(size, gpu().host_memory), size)
    array = np.asarray(allocation)
    assert array.base is allocation
    return array if (shape, dtype) == (size, np.uint8) else array.view(dtype).reshape(shape)


def memcpy_htod_async(dest: int, src: np.ndarray, stream: Stream | None = None) -> None:
    assert stream is not None
    with _call("cuMemcpyHtoDAsync"):
        source = gpu().host_array(src.ctypes.data, src.nbytes)
        target = gpu().array(int(dest), src.nbytes)
        gpu().put(stream.handle, lambda: target.__setitem__(slice(None), source))


def memcpy_dtoh_async(dest: np.ndarray, src: int, stream: Stream | None = None) -> None:
    assert stream is not None
    with _call("cuMemcpyDtoHAsync"):
        source = gpu().array(int(src), dest.nbytes)
        target = gpu().host_array(dest.ctypes.data, dest.nbytes)
        gpu().put(stream.handle, lambda: target.__setitem__(slice(None), source))
