"""`bench serve`: open an engine, see what it can do, and put it under rising load."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.checks import check_durations
from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import Progress
from benchmarks.throughput.rows import Images
from benchmarks.throughput.service import (
    MIN_REQUESTS,
    SEED,
    Clock,
    LoadPoint,
    ServiceReport,
    bracket,
    draw_arrivals,
    simulate,
)
from benchmarks.throughput.watch import watch
from engines.batching import size_for
from engines.errors import UserError
from engines.runtime import open_engine

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 1.1)
"""Rates to try, as shares of what the engine does when it never waits."""
HALVINGS = 4
"""Further rates between the highest that keeps the limit and the lowest that does not."""
CAPACITY_SECONDS = 2.0
WARM_CALLS = 2
"""Of each batch size, before anything is timed: a runtime prepares itself for a size it has not
seen, and a handful of such calls would decide the 99th percentile."""


def serve(
    folder: Path,
    *,
    rates: Sequence[float] | None = None,
    window: float = 0.005,
    limit: float = 0.1,
    seconds: float = 10.0,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> ServiceReport:
    """Put an engine under rising load.

    Args:
        folder: the engine's.
        rates: arrivals a second; None: SHARES of the engine's capacity, then HALVINGS between the
            highest that keeps the limit and the lowest that does not.
        window: seconds that the oldest request waits for company.
        limit: seconds that the 99th percentile may not pass.
        seconds: of arrivals at each rate, more where MIN_REQUESTS need it.
        threads: CPU threads of the engine; the runtime's own choice where None.

    Raises:
        UserError: the engine cannot be opened, or a number makes no sense.
    """
    _check(rates, window, limit, seconds)
    machine = look()
    with open_engine(folder, threads) as engine:
        profiles = engine.manifest.profiles
        largest = max(profile.max for profile in profiles)
        images, size = Images([folder]), engine.contract.image.size

        @cache
        def inputs(batch: int) -> dict[str, NDArray[np.uint8]]:
            return {"image": images(batch, size)}

        def call(count: int) -> None:
            engine.infer(inputs(size_for(count, profiles)))

        points: list[LoadPoint] = []

        def visit(rate: float, planned: int) -> None:
            arrivals = draw_arrivals(rate, max(seconds, MIN_REQUESTS / rate), SEED + len(points))
            points.append(simulate(call, arrivals, window=window, largest=largest))
            progress("rates", len(points), planned)

        warm_up(call, {size_for(count, profiles) for count in range(1, largest + 1)})
        with watch() as watcher:
            capacity = measure_capacity(call, largest)
            tried = rates or [share * capacity for share in SHARES]
            halvings = 0 if rates else HALVINGS
            for rate in tried:
                visit(rate, len(tried) + halvings)
            for _ in range(halvings):
                kept, failed = bracket(points, 1000 * limit)
                if kept is None or failed is None:
                    break
                visit((kept.rate + failed.rate) / 2, len(tried) + halvings)
    return ServiceReport(
        engine=str(folder),
        precision=engine.manifest.effective.precision,
        window_ms=1000 * window,
        largest_batch=largest,
        limit_ms=1000 * limit,
        capacity=capacity,
        points=tuple(sorted(points, key=lambda point: point.rate)),
        machine=machine,
        watched=watcher.watched(),
    )


def warm_up(call: Callable[[int], object], sizes: Iterable[int]) -> None:
    """Call each batch size before it is timed."""
    for size in sorted(sizes):
        for _ in range(WARM_CALLS):
            call(size)


def measure_capacity(
    call: Callable[[int], object], largest: int, clock: Clock | None = None
) -> float:
    """Images a second of full batches, one after the other."""
    clock = clock or Clock()
    began, done = clock.now(), 0
    while clock.now() - began < CAPACITY_SECONDS:
        call(largest)
        done += largest
    return done / (clock.now() - began)


def _check(rates: Sequence[float] | None, window: float, limit: float, seconds: float) -> None:
    if not 0 <= window < float("inf"):
        raise UserError(f"a window of {window:g} s came; expected 0 or more; 0.005 is the default")
    check_durations(seconds=seconds)
    if not 0 < limit < float("inf"):
        raise UserError(f"a limit of {limit:g} s came; expected more than 0")
    if rates is not None and not all(0 < rate < float("inf") for rate in rates):
        came = ", ".join(f"{rate:g}" for rate in rates)
        raise UserError(f"rates {came} came; expected each above 0, in images a second")
