"""Limits from planted work and ceilings; the real ceilings of this machine are numbers."""

from dataclasses import replace

import pytest

from benchmarks.throughput import ceilings as measured
from benchmarks.throughput.ceilings import higher, measure_ceilings
from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import Row, Work, measure
from benchmarks.throughput.null_engine import null_row
from benchmarks.throughput.results import summarise
from benchmarks.throughput.roofline import Ceiling, limit_of
from benchmarks.throughput.rows import product_kind
from benchmarks.throughput.watch import Watcher
from engines.machine import instruction_sets

WORK = Work(flops=1e9, weight_bytes=1e8, image_bytes=1e6, ceiling="float32")
CEILINGS = [
    Ceiling(kind="float32", value=1e11, by="a library"),
    Ceiling(kind="copy", value=1e10, by="another"),
]


@pytest.mark.parametrize(
    ("batch", "most", "binds"),
    [(1, 1 / 0.0101, "memory"), (100, 100, "arithmetic")],
)
def test_the_longer_of_arithmetic_and_memory_binds(batch: int, most: float, binds: str) -> None:
    limit = limit_of(WORK, CEILINGS, batch=batch, images_per_second=50)
    assert limit is not None
    assert (limit.images_per_second, limit.binds) == (pytest.approx(most), binds)
    assert limit.attained == pytest.approx(50 / most)
    assert not limit.impossible


def test_what_is_not_known_has_no_limit() -> None:
    int8 = replace(WORK, ceiling="int8")
    for work, known in ((None, CEILINGS), (int8, CEILINGS), (WORK, CEILINGS[:1]), (WORK, [])):
        assert limit_of(work, known, batch=1, images_per_second=1) is None


def test_a_row_is_held_to_its_own_device() -> None:
    fast = [replace(ceiling, value=1000 * ceiling.value, device="gpu") for ceiling in CEILINGS]
    for device, factor in (("cpu", 1), ("gpu", 1000)):
        limit = limit_of(
            replace(WORK, device=device), [*CEILINGS, *fast], batch=100, images_per_second=50
        )
        assert limit is not None
        assert limit.images_per_second == pytest.approx(100 * factor)
    assert higher(CEILINGS, fast) == CEILINGS


def test_a_row_above_its_ceiling_is_called_impossible() -> None:
    """A call that returns at once claims a gigaflop in no time."""
    row = Row(
        name="liar", batch=1, call=lambda: None, precision="float32", copies="none", threads=1,
        work=WORK,
    )  # fmt: skip
    state = look()
    session, watched = measure([row], null_row(), seconds=0.05), Watcher().watched()
    report = summarise(session, state, state, CEILINGS, watched=watched)
    assert [found.name for found in report.impossible] == ["liar"]


def test_of_two_measurements_the_higher_counts() -> None:
    lower = [replace(ceiling, value=ceiling.value / 2) for ceiling in CEILINGS]
    assert higher(CEILINGS, lower) == higher(lower, CEILINGS) == CEILINGS


def test_this_machine_has_ceilings_by_the_best_library(monkeypatch) -> None:
    monkeypatch.setattr(measured, "SIZES", (128,))
    monkeypatch.setattr(measured, "SECONDS", 0.01)
    monkeypatch.setattr(measured, "COPY_BYTES", 1 << 20)
    found = {ceiling.kind: ceiling for ceiling in measure_ceilings(1)}
    assert found.keys() >= {"float32", "int8", "copy"}
    assert ("bfloat16" in found) == bool({"avx512_bf16", "amx_bf16"} & set(instruction_sets()))
    assert all(ceiling.value > 1e6 for ceiling in found.values())


@pytest.mark.parametrize(
    ("precision", "kind"),
    [
        ("float32", "float32"),
        ("fp16 (emulated)", "float32"),
        ("effective float32", "float32"),
        ("float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("int8 and bfloat16", "int8"),
    ],
)
def test_an_engine_is_held_against_the_products_it_computes(precision: str, kind: str) -> None:
    assert product_kind(precision) == kind
