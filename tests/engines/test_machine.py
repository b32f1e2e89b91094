"""What the driver says of the GPU, and why there is none; through a stand-in for the library."""

import ctypes
from typing import Any

import pytest

from engines.machine import Machine, read_gpu, this_machine


class Driver:
    """Answers as libcuda does; one call may fail."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing

    def _status(self, call: str) -> int:
        return 100 if call == self.failing else 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - CUDA's name
        return self._status("cuInit")

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal
        return self._status("cuDeviceGet")

    def cuDeviceGetName(self, name: Any, _size: int, _device: Any) -> int:  # noqa: N802
        name.value = b"Tesla V100-SXM2-16GB"
        return self._status("cuDeviceGetName")

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 12060
        return self._status("cuDriverGetVersion")

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 7, 76: 0}[attribute]
        return self._status("cuDeviceGetAttribute")


def test_a_gpu_is_read() -> None:
    machine = read_gpu(Driver())
    assert machine.gpu == "Tesla V100-SXM2-16GB"
    assert (machine.compute_capability, machine.cuda) == ("7.0", "12.6")
    assert machine.no_gpu is None
    assert machine.cpu


@pytest.mark.parametrize(
    "call",
    ["cuInit", "cuDeviceGet", "cuDeviceGetName", "cuDriverGetVersion", "cuDeviceGetAttribute"],
)
def test_every_return_code_is_looked_at(call: str) -> None:
    machine = read_gpu(Driver(failing=call))
    assert machine.gpu is None
    assert machine.no_gpu is not None
    assert call in machine.no_gpu
    assert "100" in machine.no_gpu


def test_without_a_driver_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    machine = this_machine()
    assert machine.gpu is None
    assert machine.no_gpu == "no NVIDIA driver (libcuda.so.1 was not found)"


def test_a_newer_driver_is_the_same_gpu() -> None:
    old = Machine(cpu="a", gpu="V100", compute_capability="7.0", driver="535")
    assert old.same_gpu(Machine(cpu="b", gpu="V100", compute_capability="7.0", driver="580"))
    assert not old.same_gpu(Machine(cpu="a", gpu="H100", compute_capability="9.0", driver="535"))
