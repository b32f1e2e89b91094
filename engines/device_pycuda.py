"""The GPU through PyCUDA, without its autoinit: that would make a context of its own."""

import atexit
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engines.device import Array, Device, DeviceError

STREAM_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, which PyCUDA does not name: the stream does not wait for the default
one, on which torch may be busy."""


def open_device() -> Device:
    """The first GPU; a DeviceError where the driver refuses."""
    import pycuda.driver

    return PycudaDevice(pycuda.driver)


@functools.cache
def _primary_context(driver: Any) -> Any:
    """The primary context, held for the life of the process.

    PyCUDA gives a primary context back while it is current, and leaves it current: were it the
    last holder, the thread would be left with a context that is gone. Its destructor, in place of
    `detach`, would give back one of the wrong kind ("cuCtxDetach failed").
    """
    driver.init()
    context = driver.Device(0).retain_primary_context()
    atexit.register(context.detach)
    return context


class PycudaDevice(Device):
    """PyCUDA raises where a return code is not success; that becomes a DeviceError."""

    package = "pycuda"

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        with self._told("opening the GPU"):
            self._context = _primary_context(driver)
        self._allocations: list[Any] = []
        self._host_memory: list[Any] = []
        with self.current(), self._told("making a stream"):
            self._stream = driver.Stream(STREAM_NON_BLOCKING)
            self._start, self._stop = driver.Event(), driver.Event()
        self.stream = int(self._stream.handle)
        self._open = True

    @contextmanager
    def current(self) -> Iterator[None]:
        with self._told("making the context current"):
            self._context.push()
        try:
            yield
        finally:
            with self._told("leaving the context"):
                self._driver.Context.pop()

    def allocate(self, size: int) -> int:
        with self._told(f"allocating {size} bytes on the GPU"):
            self._allocations.append(self._driver.mem_alloc(size))
        return int(self._allocations[-1])

    def page_locked(self, size: int) -> Array:
        with self._told(f"locking {size} bytes of host memory"):
            host: Array = self._driver.pagelocked_empty(size, np.uint8)
        self._host_memory.append(host.base)
        return host

    def copy_in(self, address: int, host: Array) -> None:
        with self._told("copying to the GPU"):
            self._driver.memcpy_htod_async(address, host, self._stream)

    def copy_out(self, host: Array, address: int) -> None:
        with self._told("copying from the GPU"):
            self._driver.memcpy_dtoh_async(host, address, self._stream)

    def start_clock(self) -> None:
        with self._told("recording an event"):
            self._start.record(self._stream)

    def stop_clock(self) -> None:
        with self._told("recording an event"):
            self._stop.record(self._stream)

    def milliseconds(self) -> float:
        with self._told("reading the clock"):
            return float(self._stop.time_since(self._start))

    def wait_for(self, stream: int) -> None:
        # PyCUDA takes no foreign stream: everything on the GPU's context is waited for
        with self._told(f"waiting for stream {stream:#x}"):
            self._driver.Context.synchronize()

    def synchronize(self) -> None:
        with self._told("waiting for the stream"):
            self._stream.synchronize()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        with self.current(), self._told("freeing memory"):
            for allocation in self._allocations:
                allocation.free()
            for memory in self._host_memory:
                memory.free()
            # the last references: PyCUDA destroys them in the context that is current here
            del self._stream, self._start, self._stop

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """A DeviceError in place of PyCUDA's own."""
        try:
            yield
        except self._driver.Error as error:
            raise DeviceError(
                f"{what} failed: {' '.join(str(error).split())}; expected success; where memory "
                "ran out, free some (nvidia-smi); otherwise start the process anew"
            ) from error
