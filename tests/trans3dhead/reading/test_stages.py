"""Stages overlap, keep their order, end with their consumer, and are charged what they used."""

import threading
import time
from collections.abc import Iterator

import pytest

from trans3dhead.reading.stages import Cost, Meter, ahead, ordered_map


def test_the_order_is_kept_and_two_items_are_under_way_at_once() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(item: int) -> int:
        if item < 2:
            both.wait()  # passes only where a second worker comes
        return item * item

    assert list(ordered_map(work, range(20), workers=2, depth=4)) == [n * n for n in range(20)]


def test_no_more_than_depth_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = ordered_map(lambda item: item, items(), workers=2, depth=5)
    assert next(results) == 0
    assert len(taken) == 5
    results.close()
    assert len(taken) == 5


@pytest.mark.parametrize("where", ["source", "function"])
def test_an_error_comes_in_its_place(where: str) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        if where == "source":
            raise RuntimeError("broken")
        yield 3

    def work(item: int) -> int:
        if item == 3:
            raise RuntimeError("broken")
        return item

    results = ordered_map(work, ahead(items(), 2), workers=1, depth=1)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(RuntimeError, match="broken"):
        next(results)


def test_ahead_makes_items_before_they_are_asked_for_and_ends_with_its_consumer() -> None:
    made, closed = threading.Semaphore(0), threading.Event()

    def items() -> Iterator[int]:
        try:
            for item in range(1000):
                made.release()
                yield item
        finally:
            closed.set()

    before = threading.active_count()
    results = ahead(items(), 3)
    assert next(results) == 0
    for _ in range(4):  # the one taken and three waiting
        assert made.acquire(timeout=10)
    results.close()
    assert closed.wait(10)
    assert threading.active_count() == before


def test_the_meter_charges_a_stage_with_its_threads_cpu_time() -> None:
    meter = Meter()

    def burn() -> None:
        with meter("burn"):
            end = time.thread_time() + 0.05
            while time.thread_time() < end:
                pass
        with meter("sleep"):
            time.sleep(0.05)

    threads = [threading.Thread(target=burn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cost = meter.cost(2)
    assert 0.05 <= cost.stages["burn"] < 0.07
    assert cost.stages["sleep"] < 0.01
    assert cost.cpu_seconds >= 0.1
    assert cost.seconds >= 0.05


def test_the_ceiling_is_cores_by_cpu_seconds_an_item() -> None:
    cost = Cost(items=100, seconds=10, cpu_seconds=16, stages={"infer": 0.16}, cores=2)
    assert cost.rate == 10
    assert cost.ceiling == pytest.approx(12.5)
    assert cost.to_dict()["share_of_ceiling"] == pytest.approx(0.8)
    assert "10.0 frames/s end to end" in cost.line("frames")
    assert "2 cores allow 12.5/s, 80% of it reached" in cost.line("frames")
