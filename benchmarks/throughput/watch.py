"""What else happened on the machine while a run went on: other work, clocks, heat, throttling.

A thread looks once a second; what it costs, it costs every row alike.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.throughput.machine import busy_ticks, read_text

LOOK_EVERY = 1.0
"""Seconds."""
DISTURBING = 0.5
"""Cores busy with other work, in the mean, from which a run counts as disturbed."""
GPU_FIELDS = ("clocks.sm", "power.draw", "temperature.gpu")
REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The newer and the older name that nvidia-smi has for the same bits."""
REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Those of NVML's bits that slow a busy GPU down."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Least, mean and most of what was seen."""

    low: float
    mean: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Range | None":
        """None where nothing was seen."""
        if not values:
            return None
        return cls(low=min(values), mean=sum(values) / len(values), high=max(values))


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Extremes of a run; None where the machine does not say."""

    looks: int
    other_load: Range | None
    """Cores busy with other processes."""
    cpu_mhz: Range | None
    """Mean over cores of what the processor reports."""
    gpu_mhz: Range | None
    gpu_watts: Range | None
    gpu_celsius: Range | None
    throttled: tuple[str, ...]
    """Why the GPU slowed down, each reason once; empty where it did not, or there is none."""

    @property
    def disturbed(self) -> str | None:
        """What makes the run's times doubtful, in words."""
        found = []
        if self.other_load is not None and self.other_load.mean > DISTURBING:
            found.append(
                f"{self.other_load.mean:.1f} cores were busy with other work on average "
                f"({self.other_load.high:.1f} at most)"
            )
        if self.throttled:
            found.append(f"the GPU slowed down ({', '.join(self.throttled)})")
        return ", and ".join(found) or None


@dataclass
class Watcher:
    """Collects what is seen, look by look."""

    other_load: list[float] = field(default_factory=list)
    cpu_mhz: list[float] = field(default_factory=list)
    gpu: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in GPU_FIELDS})
    throttled: dict[str, None] = field(default_factory=dict)
    looks: int = 0
    _reasons: str | None = REASON_FIELDS[0]
    _last: tuple[float, int, float] | None = None

    def look(self) -> None:
        """Look once; other work is what happened since the look before."""
        self.looks += 1
        self._look_at_load()
        if (mhz := cpu_mhz()) is not None:
            self.cpu_mhz.append(mhz)
        if self._reasons is not None:
            self._look_at_gpu()

    def watched(self) -> Watched:
        """What was seen so far."""
        clocks, power, temperature = (Range.of(self.gpu[name]) for name in GPU_FIELDS)
        return Watched(
            looks=self.looks,
            other_load=Range.of(self.other_load),
            cpu_mhz=Range.of(self.cpu_mhz),
            gpu_mhz=clocks,
            gpu_watts=power,
            gpu_celsius=temperature,
            throttled=tuple(self.throttled),
        )

    def _look_at_load(self) -> None:
        ticks = busy_ticks()
        if ticks is None:
            return
        now, own = time.perf_counter(), time.process_time()
        if self._last is not None:
            then, ticks_then, own_then = self._last
            busy = (ticks - ticks_then) / os.sysconf("SC_CLK_TCK")
            self.other_load.append(max(0.0, (busy - (own - own_then)) / (now - then)))
        self._last = now, ticks, own

    def _look_at_gpu(self) -> None:
        values = query_gpu((*GPU_FIELDS, str(self._reasons)))
        if values is None:  # no GPU, or a driver that has only the older name
            older = self._reasons == REASON_FIELDS[0]
            self._reasons = REASON_FIELDS[1] if older else None
            return
        for name, value in zip(GPU_FIELDS, values, strict=False):
            try:
                self.gpu[name].append(float(value))
            except ValueError:  # "[N/A]": this GPU does not say
                continue
        bits = int(values[-1], 16) if values[-1].startswith("0x") else 0
        self.throttled.update({name: None for bit, name in REASONS.items() if bits & bit})


@contextmanager
def watch(every: float = LOOK_EVERY) -> Iterator[Watcher]:
    """Look once every so many seconds, in a thread of its own, until the block ends."""
    watcher, done = Watcher(), threading.Event()

    def looking() -> None:
        watcher.look()
        while not done.wait(every):
            watcher.look()

    thread = threading.Thread(target=looking, name="watch", daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        done.set()
        thread.join()
        watcher.look()


def cpu_mhz() -> float | None:
    """Mean over cores of the clock that the processor reports now."""
    text = read_text(Path("/proc/cpuinfo")) or ""
    clocks = [float(line.split(":")[1]) for line in text.splitlines() if line.startswith("cpu MHz")]
    return sum(clocks) / len(clocks) if clocks else None


def query_gpu(fields: tuple[str, ...]) -> list[str] | None:
    """What nvidia-smi says of the first GPU, without units; None where it refuses."""
    query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    values = [word.strip() for word in done.stdout.splitlines()[0].split(",")]
    return values if len(values) == len(fields) else None
