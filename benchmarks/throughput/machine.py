"""The machine a run happened on, and how busy it was."""

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from engines.machine import Machine, this_machine

LIBRARIES = ("trans3dhead", "numpy", "torch", "openvino", "tensorrt", "tensorrt_rtx_cu13")
ONNXRUNTIME_INFO = Path("capi/build_and_package_info.py")
"""Within the module `onnxruntime`: of which distribution it is, and of which version."""
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
    """Of Python, the system and those libraries that are here, by distribution."""


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
    values = query_gpu(GPU_FIELDS, "csv,noheader")
    return None if values is None else dict(zip(GPU_FIELDS, values, strict=True))


def query_gpu(fields: tuple[str, ...], form: str) -> list[str] | None:
    """What nvidia-smi says of the first GPU.

    Args:
        fields: names of --query-gpu.
        form: --format, such as "csv,noheader,nounits".

    Returns:
        A word for each field; None where nvidia-smi is missing, refuses, or lists no GPU.
    """
    query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", f"--format={form}"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    values = [word.strip() for word in done.stdout.partition("\n")[0].split(",")]
    return values if len(values) == len(fields) else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | _onnxruntime()


def _onnxruntime() -> dict[str, str]:
    """The distribution whose module computes, and its version, read without importing it.

    `onnxruntime` and `onnxruntime-gpu` bring one module: where both were installed, the files are
    those of the later one, and the other's metadata tell of a version that is not there.
    """
    module = find_spec("onnxruntime")
    if module is None or module.origin is None:
        return {}
    text = read_text(Path(module.origin).parent / ONNXRUNTIME_INFO) or ""
    said = dict(re.findall(r"^(package_name|__version__) = '(.+)'", text, re.MULTILINE))
    return {said["package_name"]: said["__version__"]} if len(said) == 2 else {}


def read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
