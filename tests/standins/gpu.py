"""A GPU made of host memory, behind the stand-ins for the CUDA and TensorRT modules.

It is stricter than a real one where that finds mistakes: queued work is done only when a stream is
waited for, fresh memory is full of rubbish, addresses and contexts are checked, and what is not
given back is counted. A call named in `failing` returns that code.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

RUBBISH = 0xCD
INVALID_VALUE, OUT_OF_MEMORY, INVALID_CONTEXT, INVALID_HANDLE = 1, 2, 201, 400
CAPTURE_INVALIDATED, ILLEGAL_ADDRESS, NOT_CAPTURING = 901, 700, 906

PRIMARY = 0xC0
"""Handle of the primary context."""

Work = Callable[[], None]


class GpuError(Exception):
    """A return code that is not success."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


@dataclass
class Stream:
    queue: list[Work] = field(default_factory=list)
    recorded: list[Work] | None = None
    """What was put on it since a capture began; None where none goes on."""
    invalid: bool = False
    """Whether the capture met what cannot be captured."""


class Gpu:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.misuse: list[str] = []
        self.failing: dict[str, int] = {}
        self.memory: dict[int, ctypes.Array[ctypes.c_uint8]] = {}
        self.host_memory: dict[int, ctypes.Array[ctypes.c_uint8]] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.events: dict[int, int | None] = {}
        self.retained = 0
        self.engines = 0
        self.clock = 0
        self._threads = threading.local()
        self._handles = iter(range(0x1000, 0x100000))

    @property
    def contexts(self) -> list[int]:
        """The calling thread's stack of contexts."""
        if not hasattr(self._threads, "stack"):
            self._threads.stack = []
        stack: list[int] = self._threads.stack
        return stack

    def call(self, name: str, *, needs_context: bool = True) -> None:
        """Note a call; fail where it was told to, or without a context."""
        self.calls.append(name)
        if name in self.failing:
            raise GpuError(self.failing[name])
        if needs_context and not self.contexts:
            raise GpuError(INVALID_CONTEXT)

    def allocate(self, size: int, pool: dict[int, ctypes.Array[ctypes.c_uint8]]) -> int:
        if size < 1:
            raise GpuError(INVALID_VALUE)
        block = (ctypes.c_uint8 * (size + 256))()
        ctypes.memset(block, RUBBISH, size + 256)
        address = -(-ctypes.addressof(block) // 256) * 256
        pool[address] = block
        return address

    def free(self, address: int, pool: dict[int, ctypes.Array[ctypes.c_uint8]]) -> None:
        if pool.pop(address, None) is None:
            raise GpuError(INVALID_VALUE)

    def array(self, address: int, size: int) -> np.ndarray:
        """uint8 [size] of the GPU's memory; it must lie within one allocation."""
        for start, block in self.memory.items():
            if start <= address and address + size <= start + len(block) - 255:
                return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        raise GpuError(ILLEGAL_ADDRESS)

    def host_array(self, address: int, size: int) -> np.ndarray:
        """uint8 [size] of page-locked memory."""
        for start, block in self.host_memory.items():
            if start <= address and address + size <= start + len(block) - 255:
                return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        raise GpuError(INVALID_VALUE)

    def make_handle(self) -> int:
        return next(self._handles)

    def stream(self, handle: int) -> Stream:
        if handle not in self.streams:
            raise GpuError(INVALID_HANDLE)
        return self.streams[handle]

    def put(self, handle: int, work: Work) -> None:
        """Queue work on a stream, or record it."""
        stream = self.stream(handle)
        (stream.queue if stream.recorded is None else stream.recorded).append(work)

    def synchronize(self, handle: int) -> None:
        stream = self.stream(handle)
        if stream.recorded is not None:
            stream.invalid = True
            raise GpuError(CAPTURE_INVALIDATED)
        queue, stream.queue = stream.queue, []
        for work in queue:
            work()

    def begin_capture(self, handle: int) -> None:
        stream = self.stream(handle)
        stream.recorded, stream.invalid = [], False

    def end_capture(self, handle: int) -> int:
        stream = self.stream(handle)
        recorded, stream.recorded = stream.recorded, None
        if recorded is None:
            raise GpuError(NOT_CAPTURING)
        if stream.invalid:
            raise GpuError(CAPTURE_INVALIDATED)
        graph = self.make_handle()
        self.graphs[graph] = recorded
        return graph

    def launch(self, graph: int, handle: int) -> None:
        for work in self.graphs[graph]:
            self.put(handle, work)

    def record(self, event: int, handle: int) -> None:
        def note() -> None:
            self.clock += 1
            self.events[event] = self.clock

        self.put(handle, note)

    def left_over(self) -> dict[str, int]:
        """What was not given back, by kind, and what was done where it must not be."""
        counts = {
            "device memory": len(self.memory),
            "host memory": len(self.host_memory),
            "streams": len(self.streams),
            "events": len(self.events),
            "graphs": len(self.graphs),
            "contexts on the stack": len(self.contexts),
            "engines": self.engines,
            "misuse": len(self.misuse),
        }
        return {kind: count for kind, count in counts.items() if count}

    @contextmanager
    def primary(self) -> Iterator[None]:
        """The primary context is current for a block, as torch would have it."""
        self.contexts.append(PRIMARY)
        try:
            yield
        finally:
            self.contexts.pop()


the_gpu = Gpu()
"""Replaced before each test."""


def gpu() -> Gpu:
    return the_gpu


def renew() -> Gpu:
    """A GPU on which nothing happened yet."""
    global the_gpu  # noqa: PLW0603 - the stand-ins' modules look it up at each call
    the_gpu = Gpu()
    return the_gpu
