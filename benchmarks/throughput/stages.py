"""Where the time of a whole prediction goes, from an encoded photo on: stage by stage.

Every row is called in pairs: once with its stages timed, once as a whole without. Both kinds share
rounds, so drift hits them alike, and what the stages leave out shows as a gap between their sum and
the whole. The stages follow one another in one thread here; `predict` lets them overlap.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.parity.statistics import Bootstrap, Interval, Verdict, judge
from benchmarks.throughput.latency import Latency
from benchmarks.throughput.measure import (
    MIN_ROUNDS,
    NANO,
    SEED,
    VISIT_SECONDS,
    Clock,
    Progress,
    Row,
)
from benchmarks.throughput.pipeline import STAGES, Pipeline
from engines.steps import STEPS

TOLERANCE = 0.05
"""Share of the whole by which the stages' sum may miss it."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A row's way from encoded photos to predictions. Times of a call, in milliseconds."""

    name: str
    batch: int
    """Photos a call."""
    stages: dict[str, Latency]
    """Keys: `pipeline.STAGES`."""
    end_to_end: Latency
    """Of calls whose stages were not timed."""
    device: Latency | None
    """Of the network by the GPU's own clock; None where none was read: on a CPU the stage
    "inference" is that time."""
    gap: float
    """The sum of the stages' means over the mean of the whole, less 1."""
    interval: Interval
    """Of the gap, at 95 %, rounds drawn anew."""
    adds_up: Verdict
    """Whether the gap is within TOLERANCE."""

    @property
    def total(self) -> float:
        """Sum of the stages' means."""
        return sum(stage.mean for stage in self.stages.values())

    @property
    def host_latency(self) -> float:
        """Mean from crops in host memory to answers in host memory: copies and inference."""
        return sum(self.stages[step].mean for step in STEPS)


class Laps:
    """A stopwatch that is told what has just ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.taken: dict[str, int] = {}
        """Nanoseconds by name."""
        self._last = clock()

    def __call__(self, name: str) -> None:
        now = self._clock()
        self.taken[name] = self.taken.get(name, 0) + now - self._last
        self._last = now


@dataclass
class _Sample:
    """What was timed of one row: nanoseconds, call by call."""

    stages: list[dict[str, int]] = field(default_factory=list)
    wholes: list[int] = field(default_factory=list)
    device: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    """The round each pair belongs to."""


def measure_stages(
    rows: Sequence[Row],
    *,
    seconds: float,
    clock: Clock = time.perf_counter_ns,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[Staged, ...]:
    """Time the stages of every row that has a pipeline, interleaved as `measure` does.

    Args:
        seconds: of counted calls for each row, in at least MIN_ROUNDS rounds.
    """
    staged = [(row, row.pipeline, _Sample()) for row in rows if row.pipeline is not None]
    rng = np.random.default_rng(SEED)
    rounds = max(MIN_ROUNDS, int(np.ceil(seconds / VISIT_SECONDS)))
    for number in range(rounds):
        for position in rng.permutation(len(staged)):
            _, pipeline, sample = staged[position]
            _visit(pipeline, sample, number, clock, seconds / rounds)
        progress("stages", number + 1, rounds)
    return tuple(_summary(row, sample) for row, _, sample in staged)


def _visit(pipeline: Pipeline, sample: _Sample, number: int, clock: Clock, seconds: float) -> None:
    """Pairs of calls for so many seconds; each kind comes first in every second pair."""
    pipeline()
    spent = 0.0
    while spent < seconds:
        order = (_staged, _whole) if len(sample.rounds) % 2 else (_whole, _staged)
        spent += NANO * sum(call(pipeline, sample, clock) for call in order)
        sample.rounds.append(number)


def _staged(pipeline: Pipeline, sample: _Sample, clock: Clock) -> int:
    laps = Laps(clock)
    pipeline(laps)
    sample.stages.append(laps.taken)
    on_device = pipeline.gpu_milliseconds()
    if on_device is not None:
        sample.device.append(on_device)
    return sum(laps.taken.values())


def _whole(pipeline: Pipeline, sample: _Sample, clock: Clock) -> int:
    start = clock()
    pipeline()
    sample.wholes.append(clock() - start)
    return sample.wholes[-1]


def _summary(row: Row, sample: _Sample) -> Staged:
    wholes = 1000 * NANO * np.asarray(sample.wholes)
    taken = {
        stage: 1000 * NANO * np.asarray([call[stage] for call in sample.stages]) for stage in STAGES
    }
    sums = np.sum(list(taken.values()), axis=0)
    # rounds are drawn whole, so that what hit one stays together
    parts, whole = (
        np.bincount(sample.rounds, values).astype(np.float64) for values in (sums, wholes)
    )
    ratio = Bootstrap(len(whole)).of_ratio(parts, whole)
    interval = Interval(ratio.low - 1, ratio.high - 1)
    return Staged(
        name=row.name,
        batch=row.batch,
        stages={stage: Latency.of(values) for stage, values in taken.items()},
        end_to_end=Latency.of(wholes),
        device=Latency.of(np.asarray(sample.device)) if sample.device else None,
        gap=float(sums.mean() / wholes.mean()) - 1,
        interval=interval,
        adds_up=judge(interval, TOLERANCE),
    )
