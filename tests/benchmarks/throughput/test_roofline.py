"""Limits from planted work and ceilings; the real ceilings of this machine are numbers."""

from collections.abc import Sequence
from dataclasses import replace
from time import sleep

import numpy as np
import pytest

from benchmarks.throughput import ceilings as measured
from benchmarks.throughput.ceilings import find_ceilings
from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import Row, Timing, Work, measure
from benchmarks.throughput.null_engine import null_row
from benchmarks.throughput.results import summarise
from benchmarks.throughput.roofline import Ceiling, Contender, limit_of
from benchmarks.throughput.rows import flops_by_product
from benchmarks.throughput.watch import Watcher
from engines.machine import instruction_sets
from engines.precision import Effective

WORK = Work(flops={"float32": 1e9}, weight_bytes=1e8, image_bytes=1e6)
ROUNDS = 8


def ceiling(kind: str, rate: float, *, device: str = "cpu") -> Ceiling:
    return Ceiling(kind=kind, value=rate, by="planted", device=device, rounds=(rate,) * ROUNDS)


CEILINGS = [ceiling("float32", 1e11), ceiling("copy", 1e10)]


def timing(
    work: Work | None, *, batch: int = 1, images_per_second: float | Sequence[float] = 50.0
) -> Timing:
    """One call in each round, at that speed."""
    row = Row(
        name="planted", batch=batch, call=lambda: None, precision="float32", copies="none",
        threads=1, work=work,
    )  # fmt: skip
    speeds = np.broadcast_to(images_per_second, ROUNDS)
    spent = [1e9 * batch / speed for speed in speeds]
    return Timing(
        row=row, durations=[round(taken) for taken in spent], rounds=list(range(ROUNDS)),
        spent=spent, warmup_calls=1, settled=True, visit_calls=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("batch", "most", "binds"),
    [(1, 1 / 0.0101, "memory"), (100, 100, "arithmetic")],
)
def test_the_longer_of_arithmetic_and_memory_binds(batch: int, most: float, binds: str) -> None:
    limit = limit_of(timing(WORK, batch=batch), CEILINGS)
    assert limit is not None
    assert (limit.images_per_second, limit.binds) == (pytest.approx(most), binds)
    assert limit.attained == pytest.approx(50 / most)
    assert not limit.impossible


def test_what_is_not_known_has_no_limit() -> None:
    int8 = replace(WORK, flops={"int8": 1e9, "float32": 1e9})
    for work, known in ((None, CEILINGS), (int8, CEILINGS), (WORK, CEILINGS[:1]), (WORK, [])):
        assert limit_of(timing(work), known) is None


def test_each_precisions_share_is_held_to_its_own_rate() -> None:
    mixed = replace(WORK, flops={"int8": 6e8, "float32": 4e8})
    limit = limit_of(timing(mixed, batch=100), [*CEILINGS, ceiling("int8", 3e11)])
    assert limit is not None
    assert limit.images_per_second == pytest.approx(1 / (0.002 + 0.004))


def test_several_requests_have_no_limit() -> None:
    """Together they use more threads than the products did."""
    alone = timing(WORK)
    several = replace(alone, row=replace(alone.row, beside=(lambda: None,)))
    assert limit_of(alone, CEILINGS) is not None
    assert limit_of(several, CEILINGS) is None


def test_a_row_is_held_to_its_own_device() -> None:
    fast = [ceiling(c.kind, 1000 * c.value, device="gpu") for c in CEILINGS]
    for device, factor in (("cpu", 1), ("gpu", 1000)):
        limit = limit_of(timing(replace(WORK, device=device), batch=100), [*CEILINGS, *fast])
        assert limit is not None
        assert limit.images_per_second == pytest.approx(100 * factor)


def test_a_machine_that_slows_down_lowers_row_and_ceiling_alike() -> None:
    """Half of the rounds at half the speed: the share is what it was, and as sure."""
    slowing = np.array([1.0] * (ROUNDS // 2) + [0.5] * (ROUNDS // 2))
    known = [replace(c, rounds=tuple(c.value * slowing)) for c in CEILINGS]
    found = limit_of(timing(WORK, batch=100, images_per_second=50 * slowing), known)
    steady = limit_of(timing(WORK, batch=100), CEILINGS)
    assert found is not None
    assert steady is not None
    assert found.attained == pytest.approx(steady.attained) == 0.5
    assert found.interval is not None
    assert found.interval.high - found.interval.low < 1e-6
    # held to the machine's good half alone, the share would fall to a third
    assert pytest.approx(1 / found.images_per_second) == 1 / (2 / 3 * 100)


def test_ceilings_are_timed_among_the_rows(monkeypatch) -> None:
    monkeypatch.setattr(measured, "SIZES", (128,))
    monkeypatch.setattr(measured, "SECONDS", 0.01)
    monkeypatch.setattr(measured, "COPY_BYTES", 1 << 20)
    row = replace(timing(WORK).row, call=lambda: sleep(0.002))
    contenders = find_ceilings([row], 1)
    assert [contender.kind for contender in contenders] == ["float32", "copy"]
    session = measure([row], null_row(), ceilings=[c.row(1) for c in contenders], seconds=0.05)
    assert all(sorted(visited) == [0, 1, 2, 3] for visited in session.order)
    state = look()
    report = summarise(session, state, state, contenders, watched=Watcher().watched())
    assert [found.name for found in report.rows] == ["planted"]
    assert [len(found.rounds) for found in report.ceilings] == [len(report.order)] * 2
    assert all(found.value > 1e6 for found in report.ceilings)
    assert report.overhead.median < 1
    limit = report.rows[0].limit
    assert limit is not None
    assert limit.interval is not None
    assert limit.interval.low <= limit.attained <= limit.interval.high


def test_a_row_above_its_ceiling_is_called_impossible() -> None:
    """A call that returns at once claims a gigaflop in no time."""
    state, row = look(), timing(WORK).row
    slow = [
        Contender(
            kind=c.kind, by=c.by, device="cpu", operations=c.value / 1000, call=lambda: sleep(0.001)
        )
        for c in CEILINGS
    ]
    session = measure([row], null_row(), ceilings=[c.row(1) for c in slow], seconds=0.05)
    report = summarise(session, state, state, slow, watched=Watcher().watched())
    assert [found.name for found in report.impossible] == ["planted"]


def test_a_row_that_may_be_below_its_ceiling_is_not() -> None:
    """Above it by its mean, with an interval that reaches below."""
    speeds = np.array([60.0, 300.0] * (ROUNDS // 2))
    limit = limit_of(timing(WORK, batch=100, images_per_second=speeds), [
        replace(c, rounds=tuple(0.9 * c.value for _ in c.rounds)) for c in CEILINGS
    ])  # fmt: skip
    assert limit is not None
    assert limit.attained > 1.05
    assert not limit.impossible


def test_this_machine_has_ceilings_by_the_best_library(monkeypatch) -> None:
    monkeypatch.setattr(measured, "SIZES", (128,))
    monkeypatch.setattr(measured, "SECONDS", 0.01)
    monkeypatch.setattr(measured, "COPY_BYTES", 1 << 20)
    kinds = ("float32", "int8", "bfloat16")
    rows = [timing(replace(WORK, flops={kind: 1e9})).row for kind in kinds]
    found = {contender.kind: contender for contender in find_ceilings(rows, 1)}
    assert found.keys() >= {"float32", "int8", "copy"}
    assert ("bfloat16" in found) == bool({"avx512_bf16", "amx_bf16"} & set(instruction_sets()))
    assert not find_ceilings([timing(None).row], 1)


def test_one_lucky_call_makes_no_ceiling(monkeypatch) -> None:
    """A product that is fast in one call and slow in the others gives way to a steady one."""
    calls = 0

    def lucky() -> None:
        nonlocal calls
        calls += 1
        sleep(0.001 if calls == 3 else 0.02)

    products = {1: lucky, 2: lambda: sleep(0.04)}  # of 2 and of 16 operations
    library = ("cpu", "planted", "float32", tuple(products), products.get)
    monkeypatch.setattr(measured, "_libraries", lambda threads: [library])
    monkeypatch.setattr(measured, "SECONDS", 0.05)
    monkeypatch.setattr(measured, "COPY_BYTES", 1 << 20)
    found = find_ceilings([timing(WORK).row], 1)
    assert found[0].by == "planted, 2"
    assert calls > 3


@pytest.mark.parametrize(
    ("precision", "share", "flops"),
    [
        ("float32", 0.0, {"float32": 8.0}),
        ("fp16 (emulated)", 0.75, {"float32": 8.0}),
        ("effective float32", 0.0, {"float32": 8.0}),
        ("float16", 0.75, {"float16": 6.0, "float32": 2.0}),
        ("bfloat16", 1.0, {"bfloat16": 8.0}),
        ("int8 and bfloat16", 0.75, {"int8": 6.0, "bfloat16": 2.0}),
    ],
)
def test_an_engine_is_held_against_the_products_it_computes(
    precision: str, share: float, flops: dict[str, float]
) -> None:
    effective = Effective(precision=precision, low_flops_promised=share, low_flops_found=share)
    assert flops_by_product(8.0, effective) == flops


@pytest.mark.gpu
def test_a_product_in_float32_stays_one_where_a_row_has_asked_for_tf32() -> None:
    torch = pytest.importorskip("torch")
    for kind, allowed in (("float32", False), ("tf32", True)):
        product = measured._cublas(128, kind)
        torch.backends.cuda.matmul.allow_tf32 = not allowed
        product()
        assert torch.backends.cuda.matmul.allow_tf32 == allowed


def test_pytorchs_product_has_the_threads_that_were_asked_for() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            measured._torch(16, "float32", threads)()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_copy_is_tried_by_one_thread_and_by_all(monkeypatch) -> None:
    monkeypatch.setattr(measured, "COPY_BYTES", 1 << 20)
    for threads, parts in ((1, [1]), (3, [1, 3])):
        tried = measured._copies(threads)
        assert [copy.by.rpartition(" ")[2] for copy in tried] == list(map(str, parts))
        for copy in tried:
            copy.call()
