"""What this machine is: its processor and, through the driver's own library, its GPUs."""

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


INSTRUCTION_SETS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
)
"""Those that decide how fast a network is on a CPU, and in which precisions; Linux's names."""


def this_machine() -> Machine:
    """Look at the processor and the first GPU; takes a few milliseconds where there is none."""
    return all_gpus()[0]


def all_gpus() -> list[Machine]:
    """This machine once for each of its GPUs; once without a GPU where there is none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [_without_gpu("no NVIDIA driver (libcuda.so.1 was not found)")]
    return read_gpus(library)


def read_gpus(cuda: Any) -> list[Machine]:
    """Ask the CUDA driver library for its devices; every return code is looked at."""
    status = cuda.cuInit(0)
    if status != CUDA_SUCCESS:
        return [_without_gpu(f"cuInit of the NVIDIA driver returned {status}")]
    count = ctypes.c_int()
    status = cuda.cuDeviceGetCount(ctypes.byref(count))
    if status != CUDA_SUCCESS:
        return [_without_gpu(f"cuDeviceGetCount of the NVIDIA driver returned {status}")]
    if count.value == 0:
        return [_without_gpu("the NVIDIA driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it)")]
    return [_read_gpu(cuda, ordinal) for ordinal in range(count.value)]


def _read_gpu(cuda: Any, ordinal: int) -> Machine:
    device, version = ctypes.c_int(), ctypes.c_int()
    capability = (ctypes.c_int(), ctypes.c_int())
    name = ctypes.create_string_buffer(256)
    statuses = {
        "cuDeviceGet": cuda.cuDeviceGet(ctypes.byref(device), ordinal),
        "cuDeviceGetName": cuda.cuDeviceGetName(name, len(name), device),
        "cuDriverGetVersion": cuda.cuDriverGetVersion(ctypes.byref(version)),
    }
    for attribute, part in enumerate(capability, start=COMPUTE_CAPABILITY_MAJOR):
        statuses[f"cuDeviceGetAttribute({attribute})"] = cuda.cuDeviceGetAttribute(
            ctypes.byref(part), attribute, device
        )
    for call, status in statuses.items():
        if status != CUDA_SUCCESS:
            return _without_gpu(f"{call} of the NVIDIA driver returned {status}")
    return Machine(
        cpu=_cpu_name(),
        gpu=name.value.decode(),
        compute_capability=f"{capability[0].value}.{capability[1].value}",
        driver=_first_line(Path("/sys/module/nvidia/version")),
        cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def instruction_sets() -> list[str]:
    """Of `INSTRUCTION_SETS`, those this processor has; empty where Linux does not tell."""
    flags = _cpu_info("flags").split()
    return [name for name in INSTRUCTION_SETS if name in flags]


def _without_gpu(reason: str) -> Machine:
    return Machine(cpu=_cpu_name(), no_gpu=reason)


def _cpu_name() -> str:
    return _cpu_info("model name") or platform.machine()


def _cpu_info(key: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    values = (line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key)
    return next(values, "")


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
