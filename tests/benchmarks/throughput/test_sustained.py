"""Speed over a long visit, in a world whose clock only the row moves."""

import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.throughput.measure import Row
from benchmarks.throughput.sustained import WINDOWS, Sustained, sustain, window_speeds

MS = 1_000_000


def visited(milliseconds, *, seconds: float = 60) -> Sustained:
    """A row of two images whose call at time t (seconds) takes milliseconds(t)."""
    now = 0

    def call() -> None:
        nonlocal now
        now += round(milliseconds(now / 1e9) * MS)

    row = Row(name="row", batch=2, call=call, precision="float32", copies="none", threads=1)
    (found,) = sustain([row], seconds=seconds, clock=lambda: now)
    return found


def test_a_steady_row_holds_its_speed() -> None:
    found = visited(lambda t: 20)
    assert found.windows == pytest.approx([100] * WINDOWS)
    assert (found.kept, found.spread) == pytest.approx((1, 0))
    assert found.steady and found.seconds == pytest.approx(60, abs=0.1)


def test_a_machine_that_slows_down_is_seen() -> None:
    found = visited(lambda t: 20 if t < 30 else 25)
    assert found.kept == pytest.approx(0.8, rel=0.01)
    assert not found.steady
    assert min(found.windows) == pytest.approx(80, rel=0.01)


def test_a_call_counts_for_the_windows_it_lies_in() -> None:
    """Calls longer than a window: the speed is the same in each."""
    ends = np.arange(5) * 3_000_000_000
    assert window_speeds(ends, 1) == pytest.approx([1 / 3] * WINDOWS)


def test_a_slow_row_is_called_once_a_window_at_least() -> None:
    found = visited(lambda t: 30_000, seconds=1)
    assert found.seconds == pytest.approx(30 * WINDOWS)


def test_requests_in_flight_are_called_together() -> None:
    """Two engines that each take a wait: together twice the images a second of one."""

    def call() -> None:
        time.sleep(0.01)

    alone = Row(name="row", batch=1, call=call, precision="float32", copies="none", threads=1)
    both = replace(alone, beside=(call,))
    one, two = sustain([alone, both], seconds=0.3)
    assert np.mean(two.windows) == pytest.approx(2 * np.mean(one.windows), rel=0.2)


def test_a_call_that_fails_ends_the_visit_of_all() -> None:
    def fail() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise ValueError("the engine is gone")

    calls: list[int] = []
    row = Row(
        name="row",
        batch=1,
        call=lambda: time.sleep(0.001),
        precision="float32",
        copies="none",
        threads=1,
        beside=(fail,),
    )
    began = time.monotonic()
    with pytest.raises(ValueError, match="the engine is gone"):
        sustain([row], seconds=20)
    assert time.monotonic() - began < 10
