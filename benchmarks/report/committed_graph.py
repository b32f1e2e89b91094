"""Tables of a committed report of `bench graph`, from its JSON."""

from collections.abc import Mapping
from typing import Any

from benchmarks.parity.statistics import stored_interval
from benchmarks.report.goals import verdict_on
from benchmarks.report.graph_tables import graph_table, ratio_table
from benchmarks.report.sources import told_line
from benchmarks.report.tables import NOTHING, Column, Row, Table

Report = Mapping[str, Any]
GOALS = {
    ("ONNX Runtime", "float32", "backbone alone"): 0.72,
    ("ONNX Runtime", "float32", "plain export"): 1.1,
    ("OpenVINO", "bfloat16", "backbone alone"): 0.6,
    ("OpenVINO", "bfloat16", "plain export"): 1.2,
}
"""Runtime, precision and what the whole graph is held against, to the least ratio, at batch 1."""


def graph(name: str, report: Report) -> str:
    """Every graph's speed, and the ratios."""
    tables = [make(report).markdown() for make in (graph_table, ratio_table)]
    return "\n".join([*tables, told_line(name, report), ""])


def graph_goals(name: str, report: Report) -> str:
    """Each goal beside the ratio that was reached."""
    found = {(r["runtime"], r["precision"], r["over"]): r for r in report["ratios"]}
    table = Table(
        title="",
        columns=(
            Column(label="runtime", number=False),
            Column(label="precision", number=False),
            Column(label="whole graph over", number=False),
            Column(label="goal"),
            Column(label="reached"),
            Column(label="", number=False),
        ),
        rows=tuple(
            Row(cells=(*key, f"{least:g}", *_reached(least, found.get(key))))
            for key, least in GOALS.items()
        ),
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def _reached(least: float, ratio: Report | None) -> tuple[str, str]:
    """The ratio with its interval, and the verdict."""
    if ratio is None:
        return NOTHING, verdict_on(least, None, None)
    within = stored_interval(ratio["interval"])
    shown = f" [{within.low:.3f}, {within.high:.3f}]" if within else ""
    return f"{ratio['value']:.3f}{shown}", verdict_on(least, ratio["value"], within)
