"""One long visit a row: does the speed hold when the machine is hot?

The rows follow one another here, so their ratios mean less than those of the interleaved rounds.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.measure import NANO, Clock, Progress, Row

WINDOWS = 12
"""Equal parts of the visit by time."""
STEADY = 0.05
"""Share of its speed that a row may lose from beginning to end and count as steady."""


@dataclass(frozen=True, kw_only=True)
class Sustained:
    """A row under a load that does not end."""

    name: str
    batch: int
    seconds: float
    windows: tuple[float, ...]
    """Images a second in each window, in order."""
    kept: float
    """Speed of the last quarter of the windows over that of the first."""
    spread: float
    """Standard deviation of the windows over their mean."""

    @property
    def steady(self) -> bool:
        """Whether the end is as fast as the beginning, within STEADY."""
        return self.kept >= 1 - STEADY


def sustain(
    rows: Sequence[Row],
    *,
    seconds: float,
    clock: Clock = time.perf_counter_ns,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[Sustained, ...]:
    """Call each row for so many seconds without a pause, one row after the other.

    A row with several requests in flight is called from as many threads at a time.
    """
    found = []
    for done, row in enumerate(rows):
        found.append(_one(row, seconds, clock))
        progress("sustained", done + 1, len(rows))
    return tuple(found)


def _one(row: Row, seconds: float, clock: Clock) -> Sustained:
    ends = _ends((row.call, *row.beside), seconds, clock)
    speeds = window_speeds(ends, row.batch)
    quarter = WINDOWS // 4
    return Sustained(
        name=row.name,
        batch=row.batch,
        seconds=float(ends[-1]) * NANO,
        windows=tuple(speeds.round(4).tolist()),
        kept=float(speeds[-quarter:].mean() / speeds[:quarter].mean()),
        spread=float(speeds.std() / speeds.mean()),
    )


def _ends(calls: Sequence[Callable[[], object]], seconds: float, clock: Clock) -> NDArray[np.int64]:
    """Nanoseconds at which calls ended, ascending, 0 where the first began.

    Each call has a thread of its own where there are several. The last that the others make when
    one has seen the time end did not meet the full load: they are left out.
    """
    for call in calls:
        call()
    ends, stopped = [clock()], False

    def caller(call: Callable[[], object]) -> None:
        nonlocal stopped
        while not stopped:
            call()
            ends.append(clock())
            if len(ends) > WINDOWS * len(calls) and (ends[-1] - ends[0]) * NANO >= seconds:
                stopped = True

    if len(calls) == 1:  # a runtime may keep other threads for a caller that is another
        caller(calls[0])
    else:
        with ThreadPoolExecutor(len(calls)) as threads:
            futures = [threads.submit(caller, call) for call in calls]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stopped = True
        for future in futures:
            future.result()
    return np.sort(np.asarray(ends) - ends[0])[: len(ends) - len(calls) + 1]


def window_speeds(ends: NDArray[np.int64], batch: int) -> NDArray[np.float64]:
    """Images a second in each window [WINDOWS].

    Args:
        ends: nanoseconds at which each call ended, ascending, 0 where the first began. A call that
            crosses a border counts for each window by the share of it that lies there.
    """
    borders = np.linspace(0, ends[-1], WINDOWS + 1)
    calls = np.interp(borders, ends, np.arange(len(ends)))
    return np.diff(calls) * batch / (np.diff(borders) * NANO)
