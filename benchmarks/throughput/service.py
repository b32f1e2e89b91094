"""A service on this machine, under a load that does not wait for it.

Requests of one image arrive as a Poisson process. One server collects them: it starts a batch when
the oldest has waited `window` seconds, or when as many are there as the engine takes at once. A
request's latency runs from its arrival, not from when the server looked, so a queue shows in full
("coordinated omission" is what a client that waits for its answer would commit).

The engine is really called and the clock is the machine's; arrivals alone are drawn. A batch size
that the engine does not take is filled up, as a server would have to.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.machine import MachineState
from benchmarks.throughput.watch import Watched

PERCENTILES = (50, 90, 95, 99)
MIN_REQUESTS = 300
"""At each rate: the 99th percentile then rests on three requests or more."""
INSTANT = 1e-9
"""Seconds under which requests have come at once."""
SCHEMA = 1
SERVICE_SCHEMA = Path(__file__).with_name("service.schema.json")
SEED = 8


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time as the simulation sees it; the tests bring their own."""

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class LoadPoint:
    """What requests met at one rate."""

    rate: float
    """Arrivals a second, drawn."""
    requests: int
    served_per_second: float
    """Answers over the time from the first arrival to the last answer."""
    p50: float
    """Milliseconds from arrival to answer, as are the others."""
    p90: float
    p95: float
    p99: float
    largest: float
    mean_batch: float
    """Images in a batch, fillers not counted."""
    busy: float
    """Share of the time in which the engine computed."""


@dataclass(frozen=True, kw_only=True)
class ServiceReport:
    """One engine under rising load."""

    schema: int = SCHEMA
    engine: str
    precision: str
    window_ms: float
    largest_batch: int
    limit_ms: float
    """What p99 may not pass."""
    capacity: float
    """Images a second of full batches, one after the other: no rate above it can last."""
    points: tuple[LoadPoint, ...]
    """By rate, ascending."""
    machine: MachineState
    watched: Watched
    """What else happened meanwhile."""

    @property
    def sustained(self) -> LoadPoint | None:
        """The highest rate measured whose p99 keeps the limit, with none below it that does not."""
        return bracket(self.points, self.limit_ms)[0]

    @property
    def failed(self) -> LoadPoint | None:
        """The lowest rate measured whose p99 passes the limit."""
        return bracket(self.points, self.limit_ms)[1]

    def machines_for(self, rate: float) -> int | None:
        """How many such machines a rate needs, by calculation; None where one keeps no rate.

        A load balancer that picks a machine at random splits a Poisson process into Poisson
        processes, so each machine meets the load it was measured at.
        """
        kept = self.sustained
        return None if kept is None else int(np.ceil(rate / kept.rate - 1e-9))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        kept, failed = self.sustained, self.failed
        return asdict(self) | {
            "sustained_rate": None if kept is None else kept.rate,
            "failed_rate": None if failed is None else failed.rate,
            "disturbed": self.watched.disturbed,
        }


def bracket(
    points: Sequence[LoadPoint], limit_ms: float
) -> tuple[LoadPoint | None, LoadPoint | None]:
    """The highest rate whose p99 keeps the limit, with none below it that does not, and the lowest
    whose p99 passes it; None where there is none."""
    kept = None
    for point in sorted(points, key=lambda point: point.rate):
        if point.p99 > limit_ms:
            return kept, point
        kept = point
    return kept, None


def draw_arrivals(rate: float, seconds: float, seed: int = SEED) -> NDArray[np.float64]:
    """Arrival times of a Poisson process, ascending from 0; the same each time for a seed."""
    count = max(MIN_REQUESTS, round(rate * seconds))
    return np.random.default_rng(seed).exponential(1 / rate, count).cumsum()


def simulate(
    call: Callable[[int], object],
    arrivals: NDArray[np.float64],
    *,
    window: float,
    largest: int,
    clock: Clock | None = None,
) -> LoadPoint:
    """Serve requests that arrive at given times.

    Args:
        call: answers so many images.
        arrivals: [n] seconds, ascending.
        window: seconds that the oldest request waits for company.
        largest: images in a batch at most.
        clock: the machine's own where None.
    """
    clock = clock or Clock()
    start = clock.now() - arrivals[0]
    latencies = np.empty(len(arrivals))
    batches, busy, served = 0, 0.0, 0
    while served < len(arrivals):
        full = served + largest
        # a batch leaves when its oldest has waited the window, or as soon as it is full
        leaves = arrivals[served] + window
        if full <= len(arrivals):
            leaves = min(leaves, arrivals[full - 1])
        wait = start + leaves - clock.now()
        if wait > 0:
            clock.sleep(wait)
        began = clock.now()
        there = int(np.searchsorted(arrivals, began - start, side="right"))
        end = min(max(there, served + 1), full)
        call(end - served)
        finished = clock.now()
        latencies[served:end] = finished - start - arrivals[served:end]
        busy += finished - began
        batches, served = batches + 1, end
    took = finished - start - arrivals[0]
    p50, p90, p95, p99 = 1000 * np.percentile(latencies, PERCENTILES, method="inverted_cdf")
    return LoadPoint(
        rate=float((len(arrivals) - 1) / max(arrivals[-1] - arrivals[0], INSTANT)),
        requests=len(arrivals),
        served_per_second=len(arrivals) / took,
        p50=float(p50),
        p90=float(p90),
        p95=float(p95),
        p99=float(p99),
        largest=1000 * float(latencies.max()),
        mean_batch=len(arrivals) / batches,
        busy=busy / took,
    )
