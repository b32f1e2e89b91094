"""A clock that only the rows move: what is timed is exactly what was planted."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.parity.statistics import Interval
from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import (
    MIN_ROUNDS,
    NANO,
    WARMUP_SECONDS,
    Row,
    Session,
    measure,
    visit_together,
)
from benchmarks.throughput.null_engine import null_row
from benchmarks.throughput.results import SCHEMA, BenchReport, summarise
from benchmarks.throughput.watch import Watcher
from engines.errors import UserError

MS = 1_000_000


class World:
    """A clock, and rows that take as long as they are told."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[str] = []

    def clock(self) -> int:
        return self.now

    def row(self, name: str, taking: Callable[[int], float], batch: int = 1) -> Row:
        """A row whose call number k takes taking(k) milliseconds."""
        count = 0

        def call() -> None:
            nonlocal count
            count += 1
            self.calls.append(name)
            self.now += round(taking(count) * MS)

        return Row(name=name, batch=batch, call=call, precision="float32", copies="none", threads=1)

    def measure(self, *rows: Row, seconds: float = 5.0) -> Session:
        null = self.row("null", lambda call: 0)
        return measure(rows, null, seconds=seconds, clock=self.clock)


def report_of(session: Session) -> BenchReport:
    state = look()
    return summarise(session, state, state, watched=Watcher().watched())


def test_a_stall_in_every_fiftieth_call_shows_at_p99_and_not_in_the_median() -> None:
    world = World()
    row = world.row("stalling", lambda call: 12.0 if call % 50 == 0 else 2.0)
    (found,) = report_of(world.measure(row)).rows
    assert found.latency.calls > 1000
    assert found.latency.median == pytest.approx(2)
    assert found.latency.p95 == pytest.approx(2)
    assert found.latency.p99 == pytest.approx(12)
    assert found.latency.largest == pytest.approx(12)
    assert found.latency.mean == pytest.approx(2.2, rel=0.02)
    assert found.images_per_second == pytest.approx(1000 / 2.2, rel=0.02)


def test_every_round_visits_every_row_and_the_order_is_told() -> None:
    world = World()
    rows = [world.row(name, lambda call: 10) for name in "abc"]
    session = world.measure(*rows, seconds=2)
    assert len(session.order) >= MIN_ROUNDS
    assert all(sorted(visits) == [0, 1, 2, 3] for visits in session.order)
    assert len(set(session.order)) > 1  # the order changes
    assert session.order == world_again().order  # and is the same in the next run


def world_again() -> Session:
    world = World()
    return world.measure(*[world.row(name, lambda call: 10) for name in "abc"], seconds=2)


def test_drift_hits_all_rows_alike() -> None:
    """The machine slows down threefold during the run; the ratio of the rows does not move."""
    world = World()

    def slower(milliseconds: float) -> Callable[[int], float]:
        return lambda call: milliseconds * (1 + 2 * min(1, world.now / (20_000 * MS)))

    rows = [world.row("base", slower(8)), world.row("twice as fast", slower(4))]
    base, fast = report_of(world.measure(*rows, seconds=8)).rows
    assert base.latency.largest > 1.5 * base.latency.median or base.latency.std > 1
    assert fast.speedup == pytest.approx(2, rel=0.03)
    assert fast.interval is not None
    assert fast.interval.low < 2 < fast.interval.high
    assert fast.interval.high - fast.interval.low < 0.3
    assert (base.speedup, base.baseline, fast.baseline) == (None, None, "base")


def test_the_call_after_a_change_of_rows_is_not_counted() -> None:
    world = World()
    last = ""

    def cold(name: str) -> Callable[[int], float]:
        def taking(call: int) -> float:
            nonlocal last
            time = 1.0 if last == name else 50.0
            last = name
            return time

        return taking

    session = world.measure(world.row("a", cold("a")), world.row("b", cold("b")))
    assert all(set(timing.durations) == {MS} for timing in session.timings)


@pytest.mark.parametrize(("milliseconds", "calls", "settled"), [(2000, 10, True), (7000, 5, False)])
def test_a_slow_row_has_time_to_settle_and_not_without_end(
    milliseconds: float, calls: int, settled: bool
) -> None:
    world = World()
    (timing,) = world.measure(world.row("slow", lambda call: milliseconds)).timings
    assert (timing.warmup_calls, timing.settled) == (calls, settled)


def test_warming_up_ends_when_times_settle_and_says_when_they_do_not() -> None:
    world = World()
    settling = world.row("settling", lambda call: max(5.0, 100.0 - 10 * call))
    restless = world.row("restless", lambda call: 1.2**call)
    session = world.measure(settling, restless, seconds=1)
    first, second = session.timings
    assert first.settled and first.warmup_calls == 20
    assert not second.settled
    assert sum(1.2**call for call in range(1, second.warmup_calls + 1)) >= 1000 * WARMUP_SECONDS
    assert not report_of(session).rows[1].settled


def test_a_slow_row_still_gets_enough_rounds_for_an_interval() -> None:
    world = World()
    rows = world.row("slow", lambda call: 4000), world.row("quick", lambda call: 40)
    slow, quick = report_of(world.measure(*rows, seconds=1)).rows
    assert slow.latency.calls == MIN_ROUNDS
    assert quick.interval is not None
    assert quick.speedup == pytest.approx(100)


def test_every_round_has_as_many_calls_so_that_all_numbers_agree() -> None:
    """A machine that is now slow, now fast: ended by the clock, slow rounds would hold fewer calls
    and weigh as much as the others."""
    world = World()
    slow = np.random.default_rng(3).random(4000) < 0.5
    rows = [world.row("base", lambda call: 90.0),
            world.row("restless", lambda call: 160.0 if slow[call] else 20.0)]  # fmt: skip
    session = world.measure(*rows, seconds=100)
    for timing in session.timings:
        assert set(np.bincount(timing.rounds)) == {timing.visit_calls}
    base, restless = report_of(session).rows
    assert restless.speedup == pytest.approx(restless.images_per_second / base.images_per_second)
    assert restless.images_per_second == pytest.approx(1000 / 90, rel=0.05)


def test_a_row_with_several_requests_is_warmed_up_with_all_of_them() -> None:
    (timing,) = measure([sleeping(5, 1)], null_row(), seconds=0.05).timings
    assert timing.warmup_calls % 5 == 0
    assert timing.warmup_calls >= 10


def test_images_a_second_count_the_batch() -> None:
    world = World()
    rows = [world.row("one", lambda call: 10), world.row("four", lambda call: 20, batch=4)]
    one, four = report_of(world.measure(*rows, seconds=1)).rows
    assert (one.images_per_second, four.images_per_second) == pytest.approx((100, 200))
    assert four.speedup is None  # alone at its batch size


def test_an_engine_that_returns_at_once_takes_under_50_microseconds(capsys) -> None:
    """A real engine with its contract's checks; the fastest of three, for the machine is busy."""
    reports = [report_of(measure([null_row()], null_row(), seconds=0.05)) for _ in range(3)]
    microseconds = min(1000 * report.overhead.median for report in reports)
    with capsys.disabled():
        print(f"\nthe null engine takes {microseconds:.1f} microseconds a call")
    assert microseconds < 50


def test_two_runs_of_one_row_overlap_in_their_intervals() -> None:
    def ratio(seed: int) -> Interval:
        world, rng = World(), np.random.default_rng(seed)
        rows = [world.row("base", lambda call: 10 + rng.exponential(1)),
                world.row("other", lambda call: 5 + rng.exponential(1))]  # fmt: skip
        found = report_of(world.measure(*rows)).rows[1].interval
        assert found is not None
        return found

    first, second = ratio(1), ratio(2)
    assert first != second
    assert max(first.low, second.low) < min(first.high, second.high)


def sleeping(in_flight: int, milliseconds: float = 5) -> Row:
    def call() -> None:
        time.sleep(milliseconds / 1000)

    return Row(
        name=str(in_flight), batch=3, call=call, beside=(call,) * (in_flight - 1),
        precision="float32", copies="none", threads=1,
    )  # fmt: skip


def test_requests_in_flight_add_up_by_wall_time_and_latency_is_a_calls() -> None:
    rows = [sleeping(1), sleeping(3)]
    one, three = report_of(measure(rows, null_row(), seconds=0.3)).rows
    assert (one.in_flight, three.in_flight) == (1, 3)
    assert three.speedup == pytest.approx(3, rel=0.2)
    assert three.images_per_second == pytest.approx(3 * one.images_per_second, rel=0.2)
    assert three.latency.median == pytest.approx(one.latency.median, rel=0.2)


def test_every_counted_call_meets_the_full_load() -> None:
    """Of two callers the slow one counts last; the quick one keeps it company until then."""
    under_way, alone = 0, []

    def caller(seconds: float) -> Callable[[], None]:
        def call() -> None:
            nonlocal under_way
            under_way += 1
            time.sleep(seconds)
            alone.append(under_way == 1)
            under_way -= 1

        return call

    slow, quick = 0.1, 0.001
    durations, spent = visit_together([caller(slow), caller(quick)], time.perf_counter_ns, 2)
    assert sum(taken > 0.09 / NANO for taken in durations) == 2
    assert spent * NANO * (1 / slow + 1 / quick) == pytest.approx(len(durations), rel=0.4)
    assert sum(alone) < 0.2 * len(alone)


def test_an_engine_that_fails_in_flight_ends_the_run() -> None:
    def fail() -> None:
        raise UserError("no answer")

    with pytest.raises(UserError, match="no answer"):
        visit_together([fail, lambda: None], time.perf_counter_ns, 3)


def test_the_json_holds_every_call(tmp_path) -> None:
    import json

    world = World()
    report = report_of(world.measure(world.row("a", lambda call: 10), seconds=1))
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(found["durations"][0]) == found["rows"][0]["latency"]["calls"]
    assert found["before"]["cores"] >= 1
    assert found["schema"] == SCHEMA
    assert len(found["rows"][0]["rounds"]) == len(found["order"])
