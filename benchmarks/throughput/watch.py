"""What else happened on the machine while a run went on: other work, clocks, heat, throttling.

A thread looks once a second; what it costs, it costs every row alike.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.throughput import cpu_sensors
from benchmarks.throughput.machine import busy_ticks, query_gpu, read_text

LOOK_EVERY = 1.0
"""Seconds."""
LEAST_SECONDS = 0.1
"""Looks closer together say nothing of a rate: the system counts work in ticks of 0.01 s."""
DISTURBING = 0.5
"""Cores busy with other work, in the mean, from which a run counts as disturbed."""
OFTEN = 0.1
"""Share of the time with more cores busy than that, from which it counts as disturbed too."""
GPU_FIELDS = ("clocks.sm", "power.draw", "temperature.gpu")
REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The newer and the older name that nvidia-smi has for the same bits."""
REASONS = {
    0x4: "GPU power cap",
    0x8: "GPU hardware slowdown",
    0x20: "GPU software thermal slowdown",
    0x40: "GPU hardware thermal slowdown",
    0x80: "GPU power brake",
}
"""Those of NVML's bits that slow a busy GPU down."""
CPU_TOO_HOT = "CPU thermal limit"

Rate = tuple[float, float]
"""What a counter rose by in each second between two looks, and how many seconds those were."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Least, mean and most of what was seen."""

    low: float
    mean: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Range | None":
        """None where nothing was seen."""
        return cls.of_rates([(value, 1.0) for value in values])

    @classmethod
    def of_rates(cls, rates: "Sequence[Rate]") -> "Range | None":
        """The mean is that over the time; None where nothing was seen."""
        if not rates:
            return None
        values = [value for value, _ in rates]
        mean = sum(value * held for value, held in rates) / sum(held for _, held in rates)
        return cls(low=min(values), mean=mean, high=max(values))


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Extremes of a run; None where the machine does not say."""

    looks: int
    other_load: Range | None
    """Cores busy with other processes; the mean over the time."""
    busy_share: float | None = None
    """Share of the time in which more than DISTURBING cores were."""
    cpu_mhz: Range | None
    """Mean over cores of what the processor reports."""
    cpu_watts: Range | None = None
    """All packages."""
    cpu_celsius: Range | None = None
    """Hottest sensor."""
    stolen: Range | None = None
    """Cores that the hypervisor gave to other guests; counted in `other_load` too."""
    gpu_mhz: Range | None = None
    gpu_watts: Range | None = None
    gpu_celsius: Range | None = None
    throttled: tuple[str, ...] = ()
    """Why CPU or GPU slowed down, each reason once; empty where none did, or none says."""

    @property
    def disturbed(self) -> str | None:
        """What makes the run's times doubtful, in words."""
        found = []
        load, share = self.other_load, self.busy_share
        if load is not None and share is not None and (load.mean > DISTURBING or share > OFTEN):
            found.append(
                f"{load.mean:.1f} cores were busy with other work on average ({load.high:.1f} at "
                f"most, more than {DISTURBING:g} in {share:.0%} of the time)"
            )
        if self.throttled:
            found.append(f"a clock was lowered ({', '.join(self.throttled)})")
        return ", and ".join(found) or None


@dataclass(frozen=True, kw_only=True)
class _Counters:
    """What only ever rises, at one moment; None where the machine does not count it."""

    clock: float
    own: float
    """Processor seconds of this process."""
    busy: float | None
    stolen: float | None
    joules: float | None
    throttles: float | None

    @classmethod
    def read(cls) -> "_Counters":
        ticks = busy_ticks()
        return cls(
            clock=time.perf_counter(),
            own=time.process_time(),
            busy=None if ticks is None else ticks / os.sysconf("SC_CLK_TCK"),
            stolen=cpu_sensors.stolen_seconds(),
            joules=cpu_sensors.joules(),
            throttles=cpu_sensors.throttle_count(),
        )


def _rise(before: float | None, after: float | None, own: float = 0.0) -> float | None:
    """By how much a counter rose beyond what was our own; None where unknown, or begun anew."""
    if before is None or after is None or after < before:
        return None
    return max(0.0, after - before - own)


def _share_above(limit: float, rates: Sequence[Rate]) -> float | None:
    """Of the time; None where nothing was seen."""
    seconds = sum(held for _, held in rates)
    return sum(held for value, held in rates if value > limit) / seconds if rates else None


@dataclass
class Watcher:
    """Collects what is seen, look by look."""

    other_load: list[Rate] = field(default_factory=list)
    cpu_mhz: list[float] = field(default_factory=list)
    cpu_celsius: list[float] = field(default_factory=list)
    cpu_watts: list[Rate] = field(default_factory=list)
    stolen: list[Rate] = field(default_factory=list)
    gpu: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in GPU_FIELDS})
    throttled: dict[str, None] = field(default_factory=dict)
    looks: int = 0
    _reasons: str | None = REASON_FIELDS[0]
    _last: _Counters | None = None

    def look(self) -> None:
        """Look once; other work is what happened since the look before."""
        self.looks += 1
        self._look_at_cpu()
        if self._reasons is not None:
            self._look_at_gpu()

    def watched(self) -> Watched:
        """What was seen so far."""
        clocks, power, temperature = (Range.of(self.gpu[name]) for name in GPU_FIELDS)
        return Watched(
            looks=self.looks,
            other_load=Range.of_rates(self.other_load),
            busy_share=_share_above(DISTURBING, self.other_load),
            cpu_mhz=Range.of(self.cpu_mhz),
            cpu_watts=Range.of_rates(self.cpu_watts),
            cpu_celsius=Range.of(self.cpu_celsius),
            stolen=Range.of_rates(self.stolen),
            gpu_mhz=clocks,
            gpu_watts=power,
            gpu_celsius=temperature,
            throttled=tuple(self.throttled),
        )

    def _look_at_cpu(self) -> None:
        for seen, value in ((self.cpu_mhz, cpu_mhz()), (self.cpu_celsius, cpu_sensors.celsius())):
            if value is not None:
                seen.append(value)
        now = _Counters.read()
        if (last := self._last) is not None:
            if _rise(last.throttles, now.throttles):
                self.throttled[CPU_TOO_HOT] = None
            passed = now.clock - last.clock
            if passed < LEAST_SECONDS:
                return  # the next look counts from the same one
            own = now.own - last.own
            for rates, rise in (
                (self.other_load, _rise(last.busy, now.busy, own)),
                (self.stolen, _rise(last.stolen, now.stolen)),
                (self.cpu_watts, _rise(last.joules, now.joules)),
            ):
                if rise is not None:
                    rates.append((rise / passed, passed))
        self._last = now

    def _look_at_gpu(self) -> None:
        values = query_gpu((*GPU_FIELDS, str(self._reasons)), "csv,noheader,nounits")
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
