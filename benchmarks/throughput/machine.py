"""The machine a run happened on, and how busy it was."""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engines.machine import Machine, this_machine

LIBRARIES = (
    "trans3dhead", "numpy", "torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt",
    "tensorrt_rtx_cu13",
)  # fmt: skip
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve")
"""Parts of a processor that decide how fast products are."""
GPU_FIELDS = (
    "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu", "utilization.gpu", "memory.used",
)  # fmt: skip
LOOK_SECONDS = 0.2
"""How long the processor is watched for other work."""


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """Hardware, versions, and what else was going on."""

    machine: Machine
    cores: int
    """This process may use."""
    instructions: tuple[str, ...]
    governor: str | None
    """How the clock is steered; None where the system does not say."""
    load_average: float | None
    """Of the last minute."""
    other_load: float | None
    """Cores busy with other processes while this one did nothing; None where not measured."""
    gpu: dict[str, str] | None
    """What nvidia-smi says; None where there is none."""
    versions: dict[str, str]


def look() -> MachineState:
    """Look at the machine now; takes a fifth of a second."""
    return MachineState(
        machine=this_machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        instructions=_instructions(),
        governor=read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        other_load=_other_load(),
        gpu=_gpu(),
        versions=_versions(),
    )


def _cores() -> int:
    return os.cpu_count() or 1


def _instructions() -> tuple[str, ...]:
    text = read_text(Path("/proc/cpuinfo")) or ""
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return tuple(name for name in INSTRUCTIONS if name in flags.split())


def _other_load() -> float | None:
    """Cores that were busy while this process slept."""
    before = busy_ticks()
    if before is None:
        return None
    time.sleep(LOOK_SECONDS)
    after = busy_ticks()
    assert after is not None
    return max(0.0, (after - before) / os.sysconf("SC_CLK_TCK") / LOOK_SECONDS)


def busy_ticks() -> int | None:
    """Ticks that all cores have worked since the start of the system."""
    text = read_text(Path("/proc/stat"))
    if text is None:
        return None
    # cpu user nice system idle iowait irq softirq steal ...
    ticks = [int(word) for word in text.splitlines()[0].split()[1:]]
    return sum(ticks[:8]) - ticks[3] - ticks[4]


def _gpu() -> dict[str, str] | None:
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    values = done.stdout.splitlines()[0].split(", ")
    return dict(zip(GPU_FIELDS, values, strict=True))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
