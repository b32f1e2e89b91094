"""Stages of a pipeline that overlap, keep their order, and tell what each cost.

The heavy parts (decoding, drawing, the network) let go of Python's lock, so threads are enough.
"""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run took."""

    items: int
    seconds: float
    """From the first to the last item, by the wall clock."""
    cpu_seconds: float
    """Of the whole process, the runtimes' own threads included."""
    stages: dict[str, float]
    """CPU seconds an item of each stage; `other` is what no stage was charged with."""
    cores: int

    @property
    def rate(self) -> float:
        """Items a second, end to end."""
        return self.items / self.seconds

    @property
    def ceiling(self) -> float:
        """Items a second if every core were busy all the time: cores / CPU seconds an item."""
        return self.cores * self.items / self.cpu_seconds

    def to_dict(self) -> dict[str, object]:
        """JSON values; times in seconds."""
        return {
            "items": self.items,
            "seconds": self.seconds,
            "items_per_second": self.rate,
            "cpu_seconds_an_item": self.cpu_seconds / self.items,
            "cpu_seconds_an_item_by_stage": self.stages,
            "cores": self.cores,
            "ceiling_items_per_second": self.ceiling,
            "share_of_ceiling": self.rate / self.ceiling,
        }

    def line(self, what: str) -> str:
        """For people: the rate, the stages, and how near the machine's ceiling it is."""
        stages = ", ".join(f"{name} {1e3 * used:.1f}" for name, used in self.stages.items())
        return (
            f"{self.items} {what} in {self.seconds:.1f} s: {self.rate:.1f} {what}/s end to end; "
            f"CPU ms each: {stages}; {self.cores} cores allow {self.ceiling:.1f}/s, "
            f"{self.rate / self.ceiling:.0%} of it reached"
        )


class Meter:
    """CPU time by stage. Stages may run in any thread, and in several at once."""

    def __init__(self) -> None:
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()
        self._start = time.perf_counter(), time.process_time()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Charge the CPU time of this thread within the block to a stage."""
        start = time.thread_time()
        try:
            yield
        finally:
            used = time.thread_time() - start
            with self._lock:
                self._used[stage] = self._used.get(stage, 0.0) + used

    def cost(self, items: int) -> Cost:
        """What `items` items took since the meter was made."""
        wall, cpu = self._start
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        each = {stage: used / items for stage, used in self._used.items()}
        each["other"] = max(cpu_seconds / items - sum(each.values()), 0.0)
        return Cost(
            items=items, seconds=seconds, cpu_seconds=cpu_seconds, stages=each, cores=cores()
        )


def ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The same items, made by a thread of their own up to `depth` ahead of their use.

    An error of `items` is raised where it would have come. When the consumer stops early the
    thread ends before the generator is closed.
    """
    waiting: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple[bool, T | BaseException | None]) -> None:
        while not stop.is_set():
            try:
                return waiting.put(entry, timeout=0.1)
            except queue.Full:
                continue
        return None

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stop.is_set():
                    break
            put((False, None))
        except BaseException as error:
            put((False, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            going, value = waiting.get()
            if going:
                yield value  # type: ignore[misc]
            elif value is None:
                return
            else:
                raise value  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, depth: int
) -> Iterator[R]:
    """function(item) of each item in their order, by `workers` threads, `depth` items under way.

    An error of `function` is raised in its item's place; what was not begun is then dropped.
    """
    source = iter(items)
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in source:
                pending.append(pool.submit(function, item))
                if len(pending) >= depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
            close = getattr(source, "close", None)
            if close is not None:
                close()
