"""The table of committed verdicts of `verify`: what each engine costs in accuracy, from JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.parity.gates import METRIC_OUTPUTS, P99
from benchmarks.parity.statistics import stored_interval
from benchmarks.report.sources import told_line
from benchmarks.report.tables import NOTHING, Column, Row, Table, interval, number
from trans3dhead.metrics import METRICS

Report = Mapping[str, Any]


def parity(name: str, report: Report) -> str:
    """Engines of one network judged on the same heads, beside PyTorch."""
    verified = report["verified"]
    gates = [{gate["name"]: gate for gate in one["gates"]} for one in verified]
    metrics = [{row["metric"]: row for row in one["metrics"]} for one in verified]
    lines = [
        *(_metric(metric, metrics, gates) for metric in METRIC_OUTPUTS),
        *(_movement(gate, gates) for gate in gates[0] if gate.endswith(P99)),
        ("gates", "", *(cell for one in verified for cell in (one["verdict"], _passed(one)))),
    ]
    engines = (f"{one['subject']['runtime']} {one['subject']['recipe']}" for one in verified)
    table = Table(
        title="",
        columns=(
            Column(label="", number=False),
            Column(label="PyTorch"),
            *(column for engine in engines for column in (Column(label=engine), Column(label="±"))),
        ),
        rows=tuple(Row(cells=cells) for cells in lines),
        note=f"{verified[0]['images']} heads. Metrics: the engine's, and its difference from "
        "PyTorch's with the 95 % interval. p99: 99 % of all points of all heads move less than "
        "this. ±: the margin that the whole interval must keep.",
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def _metric(
    name: str, metrics: Sequence[Mapping[str, Report]], gates: Sequence[Mapping[str, Report]]
) -> tuple[str, ...]:
    metric, gate = METRICS[name], f"{METRIC_OUTPUTS[name]}/{name}"
    cells = [metric.label, metric.shown(metrics[0][name]["reference"])]
    for rows, judged in zip(metrics, gates, strict=True):
        row = rows[name]
        moved = f"{row['difference']:+.2g} {_within(row)}"
        cells += [f"{metric.shown(row['engine'])} ({moved})", _margin(judged[gate])]
    return tuple(cells)


def _movement(name: str, gates: Sequence[Mapping[str, Report]]) -> tuple[str, ...]:
    cells = [f"{_label(name)}, {gates[0][name]['unit']}", NOTHING]
    for judged in gates:
        gate = judged[name]
        cells += [f"{gate['value']:.2g} {_within(gate)}", _margin(gate)]
    return tuple(cells)


def _label(gate: str) -> str:
    output, _, quantity = gate.removesuffix(P99).partition("/")
    return f"{output} p99" if quantity == "movement" else f"{output} {quantity} p99"


def _margin(gate: Report) -> str:
    return number(gate["margin"], 2)


def _passed(one: Report) -> str:
    counted = [gate for gate in one["gates"] if gate["verdict"] != "reported"]
    passed = sum(gate["verdict"] == "pass" for gate in counted)
    return f"{passed} of {len(counted)}"


def _within(found: Report) -> str:
    return interval(stored_interval(found["interval"]), 2)
