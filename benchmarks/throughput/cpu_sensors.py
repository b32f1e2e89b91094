"""What Linux tells of the processor's heat, power and throttling; a virtual machine tells none.

Read from `hwmon`, `thermal`, `powercap` (on many systems by root alone) and `thermal_throttle`
under /sys, and from /proc/stat, as the kernel documents them.
"""

import os
from pathlib import Path

from benchmarks.throughput.machine import read_text

SYS = Path("/sys")
PROC_STAT = Path("/proc/stat")
DRIVERS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""Of `hwmon`, for processors of Intel, AMD and ARM."""
ZONES = ("x86_pkg_temp", "cpu-thermal")
STEAL = 8
"""Field of /proc/stat's first line: ticks in which a hypervisor let others run on our cores."""


def celsius(root: Path = SYS) -> float | None:
    """Hottest sensor of the processor."""
    found = [
        reading
        for chip in root.glob("class/hwmon/hwmon*")
        if read_text(chip / "name") in DRIVERS
        for reading in map(_number, chip.glob("temp*_input"))
    ] or [
        _number(zone / "temp")
        for zone in root.glob("class/thermal/thermal_zone*")
        if read_text(zone / "type") in ZONES
    ]
    known = [value for value in found if value is not None]
    return max(known) / 1000 if known else None


def joules(root: Path = SYS) -> float | None:
    """Energy that all processor packages have taken; the counter starts anew now and then."""
    found = [
        _number(package / "energy_uj")
        for package in root.glob("class/powercap/intel-rapl:*")
        if (read_text(package / "name") or "").startswith("package")
    ]
    known = [value for value in found if value is not None]
    return sum(known) / 1e6 if known else None


def throttle_count(root: Path = SYS) -> int | None:
    """How often any core has been slowed down because of its heat."""
    counters = root.glob("devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
    known = [value for value in map(_number, counters) if value is not None]
    return int(sum(known)) if known else None


def stolen_seconds(stat: Path = PROC_STAT) -> float | None:
    """Seconds, over all cores, in which the hypervisor let other guests run."""
    text = read_text(stat)
    if text is None:
        return None
    words = text.splitlines()[0].split()
    return int(words[STEAL]) / os.sysconf("SC_CLK_TCK") if len(words) > STEAL else None


def _number(path: Path) -> float | None:
    text = read_text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
