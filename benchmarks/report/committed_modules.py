"""The table of a committed report of `bench modules`, from its JSON."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.report.module_sections import rate
from benchmarks.report.sources import told_line
from benchmarks.report.tables import NOTHING, Column, Row, Table, milliseconds
from benchmarks.throughput.modules import BETWEEN, FUSED, UNATTRIBUTED, PartRow, Profiled
from engines.records import from_value

FOLDED = (
    (re.compile(r"\.layers\.\d+$"), ""),
    (re.compile(r"\.layers\.\d+\."), ".layers.*."),
    (re.compile(r"\.\w+_add_norm$"), ".add_norm"),
)
"""What a page has no room to tell apart: the layers of a branch, and its sums with their norms."""
NO_PART = (FUSED, UNATTRIBUTED, BETWEEN)
"""Rows that are no part's, at the end."""
Spent = tuple[float, float]
"""Milliseconds, and operations."""


def modules(name: str, report: Mapping[str, Any]) -> str:
    """The parts of the network beside each other on every engine that was recorded."""
    engines = [_profiled(found, name) for found in report["profiled"]]
    folded = [_fold(one.rows) for one in engines]
    parts = [part for part in _merged(folded) if part not in NO_PART]
    shown = [part for part in NO_PART if any(one[part][0] for one in folded)]
    lines = [(part, *(_cell(one.get(part)) for one in folded)) for part in [*parts, *shown]]
    lines.append(("a call", *(milliseconds(one.milliseconds) for one in engines)))
    lines.append(("a call, not recorded", *(milliseconds(one.plain) for one in engines)))
    table = Table(
        title="",
        columns=(
            Column(label="ms (GFLOP/s)", number=False),
            *(Column(label=one.name) for one in engines),
        ),
        rows=tuple(Row(cells=cells) for cells in lines),
    )
    before = {"before": report["machine"], "disturbed": report["disturbed"]}
    return "\n".join([table.markdown(), told_line(name, before), ""])


def _profiled(found: Mapping[str, Any], name: str) -> Profiled:
    """As it was before it was written; what is computed from the rest is not read."""
    kept = {key: value for key, value in found.items() if key != "attributed"}
    return from_value(Profiled, kept, name)


def _fold(rows: Iterable[PartRow]) -> dict[str, Spent]:
    """Milliseconds and operations by folded name."""
    folded: defaultdict[str, Spent] = defaultdict(lambda: (0.0, 0.0))
    for row in rows:
        part = row.part
        for pattern, instead in FOLDED:
            part = pattern.sub(instead, part)
        spent, flops = folded[part]
        folded[part] = spent + row.milliseconds, flops + row.flops
    return dict(folded)


def _merged(orders: Sequence[Iterable[str]]) -> list[str]:
    """All names; one that a list lacks comes behind the name that it follows elsewhere."""
    merged: list[str] = []
    for order in orders:
        place = 0
        for name in order:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged


def _cell(spent: Spent | None) -> str:
    if spent is None:
        return NOTHING
    taken, flops = spent
    speed = rate(flops, taken)
    return f"{taken:.2f}" if speed == NOTHING else f"{taken:.2f} ({speed})"
