"""Memory, one stream and its clock on the first GPU: one interface, two packages behind it.

Both work in the GPU's primary context, the one that torch and the CUDA runtime use, and make it
current for a block only: a thread that also runs torch finds its own context again. Tested against
stand-ins for both packages, and with both on an H100 (docs/lanes.md).
"""

import importlib.util
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import numpy.typing as npt

from engines.errors import UserError

Array = npt.NDArray[Any]

INSTALL = "pip install pycuda, or pip install 'cuda-python>=12.8'"

PACKAGES = {"pycuda": "engines.device_pycuda", "cuda.bindings": "engines.device_cuda_python"}
"""Package to the module that drives it; the first one installed is used."""


class DeviceError(UserError):
    """A call to the GPU failed."""


class Device(ABC):
    """The first GPU. All but `current` and `close` are called within `with device.current()`.

    Copies are asynchronous, in the order of the stream; nothing has happened for sure before
    `synchronize`. One device object serves one thread at a time. What it allocates lives until
    `close`.
    """

    package: str
    """The package behind it."""
    stream: int
    """The CUDA stream's handle, a pointer."""

    @abstractmethod
    def current(self) -> AbstractContextManager[None]:
        """Make the primary context current for a block; the thread's own comes back after it."""

    @abstractmethod
    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the GPU, at least 1; aligned to 256 bytes."""

    @abstractmethod
    def page_locked(self, size: int) -> Array:
        """uint8 [size] of host memory that the GPU reads and writes without a stop between."""

    @abstractmethod
    def copy_in(self, address: int, host: Array) -> None:
        """Copy a contiguous page-locked array to the GPU."""

    @abstractmethod
    def copy_out(self, host: Array, address: int) -> None:
        """Copy from the GPU into a contiguous page-locked array."""

    @abstractmethod
    def start_clock(self) -> None:
        """Mark the stream's present end as the beginning of what is timed."""

    @abstractmethod
    def stop_clock(self) -> None:
        """Mark the end of what is timed."""

    @abstractmethod
    def milliseconds(self) -> float:
        """GPU time between the two marks; after `synchronize`."""

    @abstractmethod
    def wait_for(self, stream: int) -> None:
        """Block until what is queued on another stream is done."""

    @abstractmethod
    def synchronize(self) -> None:
        """Block until the stream is empty; a failure of anything queued is raised here."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back; a second call does nothing."""


def device_package() -> str:
    """The package that drives the GPU here; a UserError where neither is installed."""
    for package in PACKAGES:
        if installed(package):
            return package
    raise UserError(
        "computing on a GPU needs PyCUDA or cuda-python, neither is installed; expected one; "
        f"{INSTALL}"
    )


def open_device() -> Device:
    """The first GPU, through the first package that is installed."""
    device: Device = importlib.import_module(PACKAGES[device_package()]).open_device()
    return device


def installed(package: str) -> bool:
    """Whether a package, whose name may have a dot, can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a dotted name
        return False
