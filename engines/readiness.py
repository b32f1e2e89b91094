"""What this machine is ready for: which runtimes build and run here, which lanes are open.

A lane is a kind of machine that engines are made for, with what it needs installed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engines.errors import UserError
from engines.machine import Machine
from engines.runtime import RUNTIMES, find_runtime
from engines.tensorrt_flavours import FLAVOURS, TURING, VOLTA, VOLTA_INSTALL


@dataclass(frozen=True, kw_only=True)
class RuntimeState:
    """A runtime, as it stands here."""

    name: str
    version: str | None
    """None where it is not installed."""
    cannot_build: str | None
    """Why it builds nothing here, and what to type; None where it can."""
    cannot_run: str | None
    """Why its engines do not run here; None where they do."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A kind of machine."""

    name: str
    hardware: str
    runtime: str
    install: str
    """The line that installs what it needs."""

    def lacks(self, machine: Machine, states: dict[str, RuntimeState]) -> str | None:
        """Why engines of this lane do not run here; None where they do."""
        if not self._suits(machine):
            here = machine.no_gpu or f"{machine.gpu}, compute capability "
            return f"needs {self.hardware}, here: {here}{machine.compute_capability or ''}"
        return states[self.runtime].cannot_run

    def _suits(self, machine: Machine) -> bool:
        if self.runtime not in FLAVOURS:
            return True
        if machine.compute_capability is None:
            return False
        major, minor = machine.compute_capability.split(".")
        capability = int(major), int(minor)
        served = FLAVOURS[self.runtime].capabilities
        if served is not None:
            return capability in served
        return (VOLTA <= capability < TURING) == (self.name == "v100") and capability >= VOLTA


LANES = (
    Lane(
        name="v100",
        hardware="a V100",
        runtime="tensorrt",
        install=VOLTA_INSTALL,
    ),
    Lane(
        name="datacentre",
        hardware="an NVIDIA GPU from Turing on",
        runtime="tensorrt",
        install="pip install 'trans3dhead[gpu]' -c constraints/gpu.txt",
    ),
    Lane(
        name="rtx",
        hardware="a GeForce or RTX GPU from Turing on",
        runtime="tensorrt-rtx",
        install="pip install 'trans3dhead[cpu]' 'cuda-python>=12.8'",
    ),
    Lane(
        name="cpu",
        hardware="any processor",
        runtime="onnxruntime",
        install="pip install 'trans3dhead[cpu]' -c constraints/cpu.txt",
    ),
)


def runtime_states() -> dict[str, RuntimeState]:
    """Every runtime's state, by name; loads no library of TensorRT's."""
    states = {}
    for name in RUNTIMES:
        runtime = find_runtime(name)
        states[name] = RuntimeState(
            name=name,
            version=_value(runtime.version),
            cannot_build=_fault(runtime.check_building),
            cannot_run=_fault(runtime.check_running),
        )
    return states


def onnxruntime_providers() -> list[str]:
    """ONNX Runtime's providers here, by their own names; empty where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())


def _value(ask: Callable[[], str]) -> str | None:
    try:
        return ask()
    except UserError:
        return None


def _fault(check: Callable[[], None]) -> str | None:
    try:
        check()
    except UserError as error:
        return str(error)
    return None
