"""The GPU through cuda-python's driver API, and the check of its return codes."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engines.device import Array, Device, DeviceError

CUDA_SUCCESS = 0


def open_device() -> Device:
    """The first GPU; a DeviceError where the driver refuses."""
    from cuda.bindings import driver

    return CudaPythonDevice(driver)


def check(driver: Any, answer: tuple[Any, ...], what: str) -> Any:
    """The value of a call whose return code is success; a DeviceError otherwise.

    Args:
        driver: cuda.bindings.driver.
        answer: what a call gave: its return code, then its value where it has one.
        what: the call, as the error names it.
    """
    status, *values = answer
    if int(status) != CUDA_SUCCESS:
        text = driver.cuGetErrorString(status)[1] or b"unknown to this driver"
        raise DeviceError(
            f"{what} returned {int(status)} ({text.decode()}); expected 0, CUDA_SUCCESS; "
            "where memory ran out, free some (nvidia-smi); otherwise start the process anew"
        )
    return values[0] if values else None


class CudaPythonDevice(Device):
    """Every call's return code is looked at."""

    package = "cuda-python"

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._check(driver.cuInit(0), "cuInit")
        self._ordinal = self._check(driver.cuDeviceGet(0), "cuDeviceGet(0)")
        retained = driver.cuDevicePrimaryCtxRetain(self._ordinal)
        self._context = self._check(retained, "cuDevicePrimaryCtxRetain")
        self._addresses: list[Any] = []
        self._host_pointers: list[int] = []
        # does not wait for the default stream, on which torch may be busy
        flag = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        with self.current():
            self._stream = self._check(driver.cuStreamCreate(flag), "cuStreamCreate")
            self._start, self._stop = (
                self._check(driver.cuEventCreate(0), "cuEventCreate") for _ in range(2)
            )
        self.stream = int(self._stream)

    @contextmanager
    def current(self) -> Iterator[None]:
        self._check(self._driver.cuCtxPushCurrent(self._context), "cuCtxPushCurrent")
        try:
            yield
        finally:
            self._check(self._driver.cuCtxPopCurrent(), "cuCtxPopCurrent")

    def allocate(self, size: int) -> int:
        address = self._check(self._driver.cuMemAlloc(size), f"cuMemAlloc of {size} bytes")
        self._addresses.append(address)
        return int(address)

    def page_locked(self, size: int) -> Array:
        answer = self._driver.cuMemHostAlloc(size, 0)
        pointer = int(self._check(answer, f"cuMemHostAlloc of {size} bytes"))
        self._host_pointers.append(pointer)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(pointer))

    def copy_in(self, address: int, host: Array) -> None:
        answer = self._driver.cuMemcpyHtoDAsync(
            address, host.ctypes.data, host.nbytes, self._stream
        )
        self._check(answer, "cuMemcpyHtoDAsync")

    def copy_out(self, host: Array, address: int) -> None:
        answer = self._driver.cuMemcpyDtoHAsync(
            host.ctypes.data, address, host.nbytes, self._stream
        )
        self._check(answer, "cuMemcpyDtoHAsync")

    def start_clock(self) -> None:
        self._check(self._driver.cuEventRecord(self._start, self._stream), "cuEventRecord")

    def stop_clock(self) -> None:
        self._check(self._driver.cuEventRecord(self._stop, self._stream), "cuEventRecord")

    def milliseconds(self) -> float:
        answer = self._driver.cuEventElapsedTime(self._start, self._stop)
        return float(self._check(answer, "cuEventElapsedTime"))

    def wait_for(self, stream: int) -> None:
        other = self._driver.CUstream(stream)
        self._check(self._driver.cuStreamSynchronize(other), "cuStreamSynchronize")

    def synchronize(self) -> None:
        self._check(self._driver.cuStreamSynchronize(self._stream), "cuStreamSynchronize")

    def close(self) -> None:
        if self._context is None:
            return
        driver, context, self._context = self._driver, self._context, None
        self._check(driver.cuCtxPushCurrent(context), "cuCtxPushCurrent")
        try:
            for address in self._addresses:
                self._check(driver.cuMemFree(address), "cuMemFree")
            for pointer in self._host_pointers:
                self._check(driver.cuMemFreeHost(pointer), "cuMemFreeHost")
            for event in (self._start, self._stop):
                self._check(driver.cuEventDestroy(event), "cuEventDestroy")
            self._check(driver.cuStreamDestroy(self._stream), "cuStreamDestroy")
        finally:
            self._check(driver.cuCtxPopCurrent(), "cuCtxPopCurrent")
            self._check(
                driver.cuDevicePrimaryCtxRelease(self._ordinal), "cuDevicePrimaryCtxRelease"
            )

    def _check(self, answer: tuple[Any, ...], what: str) -> Any:
        return check(self._driver, answer, what)
