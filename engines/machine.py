"""What this machine is: its processor and, through the driver's own library, its first GPU."""

import ctypes
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CUDA_SUCCESS = 0
COMPUTE_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of the CUDA driver API; the minor one is next."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where an engine was built. Without a GPU its fields are None and `no_gpu` says why."""

    cpu: str
    gpu: str | None = None
    compute_capability: str | None = None
    """Such as "7.0"."""
    driver: str | None = None
    cuda: str | None = None
    """The newest CUDA version the driver serves."""
    no_gpu: str | None = None
    """Why there is no GPU."""

    def same_gpu(self, other: "Machine") -> bool:
        """Whether a plan built on the one fits the other; the driver may be a newer one."""
        return (self.gpu, self.compute_capability) == (other.gpu, other.compute_capability)


def this_machine() -> Machine:
    """Look at the processor and the first GPU; takes a few milliseconds where there is none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Machine(cpu=_cpu_name(), no_gpu="no NVIDIA driver (libcuda.so.1 was not found)")
    return read_gpu(library)


def read_gpu(cuda: Any) -> Machine:
    """Ask the CUDA driver library for its first device; every return code is looked at."""
    status = cuda.cuInit(0)
    if status != CUDA_SUCCESS:
        return Machine(cpu=_cpu_name(), no_gpu=f"cuInit of the NVIDIA driver returned {status}")
    device, version = ctypes.c_int(), ctypes.c_int()
    capability = (ctypes.c_int(), ctypes.c_int())
    name = ctypes.create_string_buffer(256)
    statuses = {
        "cuDeviceGet": cuda.cuDeviceGet(ctypes.byref(device), 0),
        "cuDeviceGetName": cuda.cuDeviceGetName(name, len(name), device),
        "cuDriverGetVersion": cuda.cuDriverGetVersion(ctypes.byref(version)),
    }
    for attribute, part in enumerate(capability, start=COMPUTE_CAPABILITY_MAJOR):
        statuses[f"cuDeviceGetAttribute({attribute})"] = cuda.cuDeviceGetAttribute(
            ctypes.byref(part), attribute, device
        )
    for call, status in statuses.items():
        if status != CUDA_SUCCESS:
            return Machine(cpu=_cpu_name(), no_gpu=f"{call} of the NVIDIA driver returned {status}")
    return Machine(
        cpu=_cpu_name(),
        gpu=name.value.decode(),
        compute_capability=f"{capability[0].value}.{capability[1].value}",
        driver=_first_line(Path("/sys/module/nvidia/version")),
        cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
