"""What `bench run` found: latencies, throughput and ratios, as data."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.statistics import Interval, ratio_of_means
from benchmarks.throughput.latency import Latency
from benchmarks.throughput.machine import MachineState
from benchmarks.throughput.measure import Session, Timing
from benchmarks.throughput.roofline import Ceiling, Contender, Limit, limit_of
from benchmarks.throughput.stages import Staged
from benchmarks.throughput.sustained import Sustained
from benchmarks.throughput.watch import DISTURBING, Watched

SCHEMA = 4
"""Of the JSON; raised when a field changes its meaning."""
REPORT_SCHEMA = Path(__file__).with_name("report.schema.json")


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """One row at one batch size."""

    name: str
    batch: int
    precision: str
    parity: str | None
    """The verdict that `verify` left with the engine; None where it was not judged."""
    copies: str
    threads: int | None
    in_flight: int
    """Requests under way at a time, each of an engine and a thread of its own."""
    latency: Latency
    images_per_second: float
    """Images of all counted calls over the time they took together, slow ones included."""
    speedup: float | None
    """Images a second over those of `baseline`; None for the baseline itself."""
    interval: Interval | None
    """Of the speedup, at 95 %, rounds drawn anew in pairs."""
    baseline: str | None
    """The first row of the same batch size."""
    warmup_calls: int
    settled: bool
    """Whether the times had settled before counting began."""
    rounds: tuple[float, ...]
    """Mean milliseconds an image in each round: what `bench compare` takes ratios of."""
    limit: Limit | None
    """None where the machine's ceilings were not measured, or its work is not known."""


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """One interleaved run on one machine."""

    schema: int = SCHEMA
    rows: tuple[BenchRow, ...]
    overhead: Latency
    """Of the null engine: what harness and contract checks add to every call."""
    order: tuple[tuple[int, ...], ...]
    """Rows visited in each round, by position; behind the rows the ceilings and, last, the null
    engine."""
    before: MachineState
    after: MachineState
    watched: Watched
    """What else happened meanwhile."""
    sustained: tuple[Sustained, ...]
    """One long visit a row; empty where it was not asked for."""
    staged: tuple[Staged, ...]
    """The way from encoded photos to predictions; empty where it was not asked for."""
    photo: str | None
    """What they were of: kind and size; None where there are none."""
    ceilings: tuple[Ceiling, ...]
    """What the machine does at most, timed among the rows; empty where it was not measured."""
    durations: tuple[NDArray[np.float64], ...] = field(repr=False, compare=False)
    """Milliseconds of every counted call, row by row."""

    @property
    def disturbed(self) -> str | None:
        """What makes the run's times doubtful, where something does."""
        found = self.watched.disturbed
        at_first = self.before.other_load
        if found is None and at_first is not None and at_first > DISTURBING:
            found = f"{at_first:.1f} cores were busy with other work as the run began"
        return found and f"{found}: times are too long, ratios within the run hold better"

    @property
    def unexplained(self) -> tuple[Staged, ...]:
        """Rows whose stages do not add up to the whole: something is timed wrongly."""
        return tuple(row for row in self.staged if row.adds_up == "fail")

    @property
    def impossible(self) -> tuple[BenchRow, ...]:
        """Rows above what the machine can do: either they or the ceilings are measured wrongly."""
        return tuple(row for row in self.rows if row.limit is not None and row.limit.impossible)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; every counted call among them, rounded to a tenth of a microsecond."""
        found = dataclasses.asdict(dataclasses.replace(self, durations=()))
        found["durations"] = [np.round(taken, 4).tolist() for taken in self.durations]
        found["disturbed"] = self.disturbed
        return found


def summarise(
    session: Session,
    before: MachineState,
    after: MachineState,
    contenders: Sequence[Contender] = (),
    *,
    watched: Watched,
    sustained: tuple[Sustained, ...] = (),
    staged: tuple[Staged, ...] = (),
    photo: str | None = None,
) -> BenchReport:
    """Statistics of a run; the contenders are those of the session's ceilings, in their order."""
    ceilings = [
        Ceiling.of(contender, timing)
        for contender, timing in zip(contenders, session.ceilings, strict=True)
    ]
    baselines: dict[int, Timing] = {}
    for timing in session.timings:
        baselines.setdefault(timing.row.batch, timing)
    return BenchReport(
        rows=tuple(
            _row(timing, baselines[timing.row.batch], ceilings) for timing in session.timings
        ),
        overhead=Latency.of(session.overhead.milliseconds),
        order=session.order,
        before=before,
        after=after,
        watched=watched,
        sustained=sustained,
        staged=staged,
        photo=photo,
        ceilings=tuple(ceilings),
        durations=tuple(timing.milliseconds for timing in session.timings),
    )


def _row(timing: Timing, baseline: Timing, ceilings: Sequence[Ceiling]) -> BenchRow:
    row, latency = timing.row, Latency.of(timing.milliseconds)
    speedup, interval = (None, None) if timing is baseline else speedup_over(timing, baseline)
    return BenchRow(
        name=row.name,
        batch=row.batch,
        precision=row.precision,
        parity=row.parity,
        copies=row.copies,
        threads=row.threads,
        in_flight=row.in_flight,
        latency=latency,
        images_per_second=timing.images_per_second,
        speedup=speedup,
        interval=interval,
        baseline=None if timing is baseline else baseline.row.name,
        warmup_calls=timing.warmup_calls,
        settled=timing.settled,
        rounds=tuple((1000 * timing.image_seconds()).round(6).tolist()),
        limit=limit_of(timing, ceilings),
    )


def speedup_over(timing: Timing, baseline: Timing) -> tuple[float, Interval | None]:
    """Time of the baseline over the row's, each the mean over rounds of seconds an image."""
    return ratio_of_means(baseline.image_seconds(), timing.image_seconds())
