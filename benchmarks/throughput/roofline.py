"""How far each row is from what the machine could do (Williams et al. 2009).

A call takes at least its arithmetic at the rate of the best product that any library reached here,
each precision's share at that precision's rate, and at least its weights and its images' bytes at
the speed of a large copy; the longer of the two binds. What lies between the layers is left out,
caches may hold it, and so is the way from the host to a GPU. Several requests in flight have no
limit here: together they use more threads than the products do.

The products and the copy are rows of the same run: a machine that is fast in one minute and slow in
the next would otherwise set, in a good one, a ceiling for rows timed in a bad one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.parity.statistics import Interval, ratio_of_means
from benchmarks.throughput.measure import Row, Timing

COPY = "copy"
"""The kind of ceiling that is no product."""
SLACK = 0.05
"""By how much a row may pass its limit before one of the two is said to be wrong: both scatter."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A product or a copy that may become a ceiling."""

    kind: str
    """A precision, or "copy"."""
    by: str
    """Library and size."""
    device: str
    """cpu or gpu."""
    operations: float
    """Of a call, a multiply-add counting as 2; of a copy, bytes read and bytes written."""
    call: Callable[[], object]

    def row(self, threads: int | None) -> Row:
        """As it takes its turn among the rows."""
        return Row(
            name=f"{self.device} {self.kind}, {self.by}",
            batch=1,
            call=self.call,
            precision=self.kind,
            copies="none",
            threads=threads,
        )


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What the machine does of one kind."""

    kind: str
    """A precision, or "copy"."""
    value: float
    """Operations a second over all counted calls, a multiply-add counting as 2; of a copy, bytes a
    second, those read and those written both counted."""
    by: str
    """Library and size."""
    device: str
    """cpu or gpu: no row is held to the other's."""
    rounds: tuple[float, ...]
    """The same in each round."""

    @classmethod
    def of(cls, contender: Contender, timing: Timing) -> "Ceiling":
        """From its turns among the rows."""
        rounds = contender.operations / timing.image_seconds()
        return cls(
            kind=contender.kind,
            value=contender.operations * timing.images_per_second,
            by=contender.by,
            device=contender.device,
            rounds=tuple(float(f"{rate:.6g}") for rate in rounds),
        )


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The most a row could reach."""

    images_per_second: float
    binds: Literal["arithmetic", "memory"]
    attained: float
    """Share of it that the row reached, as a ratio within the run."""
    interval: Interval | None
    """Of the share, at 95 %, rounds drawn anew in pairs."""

    @property
    def impossible(self) -> bool:
        """Whether the row passes it for sure: then the ceiling is too low, or the row computes
        less."""
        least = self.attained if self.interval is None else self.interval.low
        return least > 1 + SLACK


def limit_of(timing: Timing, ceilings: Sequence[Ceiling]) -> Limit | None:
    """A row's limit; None where its work or a ceiling that it needs is not known, and with several
    requests in flight."""
    work = timing.row.work
    if work is None or timing.row.in_flight > 1:
        return None
    rates = {c.kind: np.asarray(c.rounds) for c in ceilings if c.device == work.device}
    if not rates.keys() >= {*work.flops, COPY}:
        return None
    # seconds an image in each round
    arithmetic = np.sum([flops / rates[kind] for kind, flops in work.flops.items()], axis=0)
    memory = (work.weight_bytes / timing.row.batch + work.image_bytes) / rates[COPY]
    binds: Literal["arithmetic", "memory"]
    binds = "arithmetic" if arithmetic.mean() >= memory.mean() else "memory"
    least = arithmetic if binds == "arithmetic" else memory
    attained, interval = ratio_of_means(least, timing.image_seconds())
    return Limit(
        images_per_second=float(1 / least.mean()),
        binds=binds,
        attained=attained,
        interval=interval,
    )
