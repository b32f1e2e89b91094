"""Times of many calls in a few numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (90, 95, 99)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of a call, over every counted call."""

    calls: int
    median: float
    p90: float
    p95: float
    p99: float
    """Under 100 calls it is the slowest one."""
    mean: float
    std: float
    largest: float

    @classmethod
    def of(cls, taken: NDArray[np.float64]) -> "Latency":
        """Summary of milliseconds [calls]; percentiles are times that occurred."""
        p90, p95, p99 = np.percentile(taken, PERCENTILES, method="inverted_cdf")
        return cls(
            calls=len(taken),
            median=float(np.median(taken)),
            p90=float(p90),
            p95=float(p95),
            p99=float(p99),
            mean=float(taken.mean()),
            std=float(taken.std()),
            largest=float(taken.max()),
        )
