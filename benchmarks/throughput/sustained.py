"""One long visit a row: does the speed hold when the machine is hot?

The rows follow one another here, so their ratios mean less than those of the interleaved rounds.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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

    Rows with several requests in flight are left out: the interleaved rounds show what they add.
    """
    found, alone = [], [row for row in rows if row.in_flight == 1]
    for done, row in enumerate(alone):
        found.append(_one(row, seconds, clock))
        progress("sustained", done + 1, len(alone))
    return tuple(found)


def _one(row: Row, seconds: float, clock: Clock) -> Sustained:
    row.call()
    ends = [clock()]
    while len(ends) <= WINDOWS or (ends[-1] - ends[0]) * NANO < seconds:
        row.call()
        ends.append(clock())
    speeds = window_speeds(np.asarray(ends) - ends[0], row.batch)
    quarter = WINDOWS // 4
    return Sustained(
        name=row.name,
        batch=row.batch,
        seconds=(ends[-1] - ends[0]) * NANO,
        windows=tuple(speeds.round(4).tolist()),
        kept=float(speeds[-quarter:].mean() / speeds[:quarter].mean()),
        spread=float(speeds.std() / speeds.mean()),
    )


def window_speeds(
    ends: np.ndarray[tuple[int], np.dtype[np.int64]], batch: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Images a second in each window [WINDOWS].

    Args:
        ends: nanoseconds at which each call ended, ascending, 0 where the first began. A call that
            crosses a border counts for each window by the share of it that lies there.
    """
    borders = np.linspace(0, ends[-1], WINDOWS + 1)
    calls = np.interp(borders, ends, np.arange(len(ends)))
    return np.diff(calls) * batch / (np.diff(borders) * NANO)
