"""What the project set itself beside what was measured."""

from benchmarks.parity.statistics import Interval


def verdict_on(least: float, value: float | None, within: Interval | None) -> str:
    """Met or missed where the whole interval says so, else open; a value without one decides."""
    if value is None:
        return "not measured"
    low, high = (within.low, within.high) if within else (value, value)
    return "met" if low >= least else "missed" if high < least else "open"
