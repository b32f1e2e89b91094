"""What the driver says of the GPU, and why there is none; through a stand-in for the library."""

import ctypes
from typing import Any

import pytest

from engines import machine as machine_module
from engines.machine import Machine, instruction_sets, read_gpus, this_machine


class Driver:
    """Answers as libcuda does; one call may fail."""

    def __init__(self, failing: str = "", count: int = 1) -> None:
        self.failing = failing
        self.count = count

    def _status(self, call: str) -> int:
        return 100 if call == self.failing else 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - CUDA's name
        return self._status("cuInit")

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return self._status("cuDeviceGetCount")

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal
        return self._status("cuDeviceGet")

    def cuDeviceGetName(self, name: Any, _size: int, _device: Any) -> int:  # noqa: N802
        name.value = f"Tesla V100-SXM2-16GB number {_device.value}".encode()
        return self._status("cuDeviceGetName")

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 12060
        return self._status("cuDriverGetVersion")

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 7, 76: 0}[attribute]
        return self._status("cuDeviceGetAttribute")


def test_a_gpu_is_read() -> None:
    machine = read_gpus(Driver())[0]
    assert machine.gpu == "Tesla V100-SXM2-16GB number 0"
    assert (machine.compute_capability, machine.cuda) == ("7.0", "12.6")
    assert machine.no_gpu is None
    assert machine.cpu


@pytest.mark.parametrize(
    "call",
    [
        "cuInit",
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDeviceGetName",
        "cuDriverGetVersion",
        "cuDeviceGetAttribute",
    ],
)
def test_every_return_code_is_looked_at(call: str) -> None:
    (machine,) = read_gpus(Driver(failing=call))
    assert machine.gpu is None
    assert machine.no_gpu is not None
    assert call in machine.no_gpu
    assert "100" in machine.no_gpu


def test_several_gpus_and_none() -> None:
    machines = read_gpus(Driver(count=3))
    assert [machine.gpu and machine.gpu[-1] for machine in machines] == ["0", "1", "2"]
    (machine,) = read_gpus(Driver(count=0))
    assert machine.gpu is None
    assert machine.no_gpu is not None
    assert "CUDA_VISIBLE_DEVICES" in machine.no_gpu


def test_instruction_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"flags": "fpu avx avx2 avx512f amx_tile amx_bf16 avx512fancy"}
    monkeypatch.setattr(machine_module, "_cpu_info", lambda key: flags.get(key, ""))
    assert instruction_sets() == ["avx2", "avx512f", "amx_tile", "amx_bf16"]
    flags.clear()
    assert instruction_sets() == []
    assert this_machine().cpu


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
