"""Timing rows side by side: every round visits every row, so that drift hits all alike.

A row is warmed up until its times settle. A visit makes one call that is not counted, because the
row before it has left its own weights in the caches and its own threads awake, and then as many as
took a quarter of a second when the warm-up ended: at least one, at most a thousand. Their number is
the same in every round: a visit that ended by the clock would hold fewer calls where they are slow,
and means over rounds would lean towards those. The order of the rows is drawn anew each round, from
a fixed seed. Every counted call stays in the sample, however slow.

A row with several requests in flight calls from as many threads, each of which sends its next
request when its last is answered (a closed loop); its warm-up does so too. A thread that has
counted enough goes on calling until all have, so that every counted call met the full load.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.throughput.pipeline import Pipeline

VISIT_SECONDS = 0.25
VISIT_CALLS = 1000
MIN_ROUNDS = 6
"""Fewer give no interval (`parity.statistics.MIN_IMAGES`)."""
WINDOW = 5
"""Calls in each of the two windows that the warm-up compares."""
SETTLED = 0.05
"""Largest change of the median from one window to the next that counts as settled."""
WARMUP_SECONDS = 5.0
"""Longest warm-up; a row that has not settled by then is measured, and said to be unsettled."""
SLOW_WARMUP_SECONDS = 30.0
"""The same where a row has not even filled its two windows by then."""
SEED = 6
NANO = 1e-9

Clock = Callable[[], int]
Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a row cannot do without, counted from its graph."""

    flops: Mapping[str, float]
    """Of an image, by the kind of product (`ceilings.Ceiling.kind`) that computes them; a
    multiply-add counts as 2."""
    weight_bytes: float
    """Read once a call, whatever the batch."""
    image_bytes: float
    """Read and written for each image at the least: inputs and outputs."""
    device: str = "cpu"
    """What computes it, cpu or gpu."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something to be timed."""

    name: str
    batch: int
    """Images a call."""
    call: Callable[[], object]
    """One whole call; returns when the answers are there."""
    precision: str
    """Effective precision."""
    copies: str
    """What a call moves besides computing."""
    threads: int | None
    """Of the CPU; None where the runtime chose."""
    work: Work | None = None
    """None where it cannot be counted."""
    parity: str | None = None
    """The verdict of `verify` on it; None where it was not judged."""
    beside: tuple[Callable[[], object], ...] = ()
    """The same call of further engines, made by other threads at the same time."""
    pipeline: "Pipeline | None" = None
    """The whole way from encoded photos; None where it was not asked for, or there is none."""

    @property
    def in_flight(self) -> int:
        """Requests that are under way at a time."""
        return 1 + len(self.beside)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was timed of one row."""

    row: Row
    durations: list[int] = field(default_factory=list)
    """Nanoseconds of every counted call, in order."""
    rounds: list[int] = field(default_factory=list)
    """The round each of them belongs to."""
    spent: list[float] = field(default_factory=list)
    """Nanoseconds that each round's counted calls took together: with one request in flight their
    sum, with several their number over the sum of the threads' rates."""
    warmup_calls: int
    settled: bool
    """Whether the warm-up ended because the times had settled."""
    visit_calls: int
    """Counted calls of each request in each round."""

    @property
    def milliseconds(self) -> NDArray[np.float64]:
        """Of every counted call, in order."""
        return np.asarray(self.durations) * NANO * 1000

    def image_seconds(self) -> NDArray[np.float64]:
        """Mean seconds an image in each round [rounds]: what ratios are taken of."""
        seconds: NDArray[np.float64] = np.asarray(self.spent, np.float64) * NANO
        return seconds / (np.bincount(self.rounds) * self.row.batch)

    @property
    def images_per_second(self) -> float:
        """Images of all counted calls over the time they took together, slow ones included."""
        return len(self.durations) * self.row.batch / (sum(self.spent) * NANO)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run over all rows."""

    timings: tuple[Timing, ...]
    """In the order the rows were given."""
    ceilings: tuple[Timing, ...]
    """What the machine can do at most, as it took its turns among the rows."""
    order: tuple[tuple[int, ...], ...]
    """The rows visited in each round, by position: rows, ceilings, and the null engine."""
    overhead: Timing
    """The null engine: what harness and contract checks add to every call."""


def measure(
    rows: Sequence[Row],
    null: Row,
    *,
    ceilings: Sequence[Row] = (),
    seconds: float,
    clock: Clock = time.perf_counter_ns,
    progress: Progress = lambda stage, done, total: None,
) -> Session:
    """Time rows, interleaved.

    Args:
        null: a row that computes nothing (`null_engine.null_row`), timed among the others.
        ceilings: products and copies (`roofline.Contender.row`), timed among the others too.
        seconds: of counted calls for each row, in at least MIN_ROUNDS rounds.
        clock: nanoseconds; time as the tests want it.
        progress: called after each warm-up and each round.
    """
    assert rows and seconds > 0
    rounds = max(MIN_ROUNDS, int(np.ceil(seconds / VISIT_SECONDS)))
    timings, every = [], [*rows, *ceilings, null]
    for done, row in enumerate(every):
        timings.append(_warm_up(row, clock, seconds / rounds))
        progress("warm-up", done + 1, len(every))
    rng = np.random.default_rng(SEED)
    order: list[tuple[int, ...]] = []
    for number in range(rounds):
        order.append(tuple(map(int, rng.permutation(len(timings)))))
        for position in order[-1]:
            _visit(timings[position], number, clock)
        progress("rounds", number + 1, rounds)
    return Session(
        timings=tuple(timings[: len(rows)]),
        ceilings=tuple(timings[len(rows) : -1]),
        order=tuple(order),
        overhead=timings[-1],
    )


def _visit(timing: Timing, number: int, clock: Clock) -> None:
    """Make a round's calls, after one that is not counted, and keep every duration."""
    row, calls = timing.row, timing.visit_calls
    if row.beside:
        taken, spent = visit_together((row.call, *row.beside), clock, calls)
    else:
        row.call()
        taken = visit_alone(row.call, clock, calls)
        spent = sum(taken)
    timing.durations.extend(taken)
    timing.rounds.extend([number] * len(taken))
    timing.spent.append(spent)


def visit_alone(call: Callable[[], object], clock: Clock, calls: int) -> list[int]:
    """Nanoseconds of each of so many calls."""
    durations: list[int] = []
    for _ in range(calls):
        start = clock()
        call()
        durations.append(clock() - start)
    return durations


def calls_within(seconds: float, durations: Sequence[int]) -> int:
    """Calls that fill so many seconds, by the median of earlier ones in nanoseconds; from 1 to
    VISIT_CALLS."""
    return int(np.clip(np.ceil(seconds / NANO / max(np.median(durations), 1)), 1, VISIT_CALLS))


def visit_together(
    requests: Sequence[Callable[[], object]], clock: Clock, calls: int
) -> tuple[list[int], float]:
    """Nanoseconds of so many counted calls of each request, and of all of them together."""
    start, lock = threading.Barrier(len(requests)), threading.Lock()
    unfinished = len(requests)

    def caller(call: Callable[[], object]) -> list[int]:
        nonlocal unfinished
        try:
            call()
            start.wait()
            durations = visit_alone(call, clock, calls)
        except BaseException:
            start.abort()
            raise
        finally:
            with lock:
                unfinished -= 1
        while unfinished:
            call()
        return durations

    with ThreadPoolExecutor(len(requests)) as threads:
        found = [future.result() for future in [threads.submit(caller, call) for call in requests]]
    rate = sum(len(durations) / sum(durations) for durations in found)
    every = [taken for durations in found for taken in durations]
    return every, len(every) / rate


def _warm_up(row: Row, clock: Clock, seconds: float) -> Timing:
    """Call until two windows in a row have the same median, or the time is up.

    Args:
        seconds: of a visit.
    """
    taken: list[int] = []
    began = clock()
    settled = False
    while not settled:
        if row.beside:
            taken.extend(visit_together((row.call, *row.beside), clock, 1)[0])
        else:
            taken.extend(visit_alone(row.call, clock, 1))
        if len(taken) % WINDOW == 0 and len(taken) >= 2 * WINDOW:
            before = float(np.median(taken[-2 * WINDOW : -WINDOW]))
            after = float(np.median(taken[-WINDOW:]))
            settled = abs(after - before) <= SETTLED * before
        longest = WARMUP_SECONDS if len(taken) >= 2 * WINDOW else SLOW_WARMUP_SECONDS
        if (clock() - began) * NANO >= longest:
            break
    return Timing(
        row=row,
        warmup_calls=len(taken),
        settled=settled,
        visit_calls=calls_within(seconds, taken[-WINDOW:]),
    )
