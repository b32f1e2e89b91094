"""`bench serve`: open an engine, see what it can do, and put it under rising load."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import Progress
from benchmarks.throughput.rows import Images
from benchmarks.throughput.service import (
    MIN_REQUESTS,
    Clock,
    ServiceReport,
    draw_arrivals,
    simulate,
)
from engines.batching import size_for
from engines.errors import UserError
from engines.runtime import open_engine

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 1.1)
"""Rates to try, as shares of what the engine does when it never waits."""
CAPACITY_SECONDS = 2.0


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
        rates: arrivals a second; None: SHARES of the engine's capacity.
        window: seconds that the oldest request waits for company.
        limit: seconds that the 99th percentile may not pass.
        seconds: of arrivals at each rate, more where MIN_REQUESTS need it.
        threads: CPU threads of the engine; the runtime's own choice where None.

    Raises:
        UserError: the engine cannot be opened, or a number makes no sense.
    """
    _check(rates, window, limit, seconds)
    with open_engine(folder, threads) as engine:
        profile = engine.manifest.profiles[0]
        images, size = Images([folder]), engine.contract.image.size

        @cache
        def inputs(batch: int) -> dict[str, NDArray[np.uint8]]:
            return {"image": images(batch, size)}

        def call(count: int) -> None:
            engine.infer(inputs(size_for(count, engine.manifest.profiles)))

        capacity = measure_capacity(call, profile.max)
        tried = sorted(rates or [share * capacity for share in SHARES])
        points = []
        for done, rate in enumerate(tried):
            arrivals = draw_arrivals(rate, max(seconds, MIN_REQUESTS / rate))
            points.append(simulate(call, arrivals, window=window, largest=profile.max))
            progress("rates", done + 1, len(tried))
    return ServiceReport(
        engine=str(folder),
        precision=engine.manifest.effective.precision,
        window_ms=1000 * window,
        largest_batch=profile.max,
        limit_ms=1000 * limit,
        capacity=capacity,
        points=tuple(points),
        machine=look(),
    )


def measure_capacity(
    call: Callable[[int], object], largest: int, clock: Clock | None = None
) -> float:
    """Images a second of full batches, one after the other."""
    clock = clock or Clock()
    call(largest)
    began, done = clock.now(), 0
    while clock.now() - began < CAPACITY_SECONDS:
        call(largest)
        done += largest
    return done / (clock.now() - began)


def _check(rates: Sequence[float] | None, window: float, limit: float, seconds: float) -> None:
    if not 0 <= window < float("inf"):
        raise UserError(f"a window of {window:g} s came; expected 0 or more; 0.005 is the default")
    for name, value in (("limit", limit), ("duration", seconds)):
        if not 0 < value < float("inf"):
            raise UserError(f"a {name} of {value:g} s came; expected more than 0")
    if rates is not None and not all(0 < rate < float("inf") for rate in rates):
        came = ", ".join(f"{rate:g}" for rate in rates)
        raise UserError(f"rates {came} came; expected each above 0, in images a second")
