"""The tables of a parity report."""

from benchmarks.parity.gates import BATCHES, LARGEST, METRIC_OUTPUTS, P99, Gate
from benchmarks.parity.results import ParityReport
from benchmarks.parity.statistics import Verdict
from benchmarks.report.tables import NOTHING, Column, Row, Table, interval, number
from trans3dhead.metrics import METRICS

SEVERITY: tuple[Verdict, ...] = ("fail", "inconclusive", "not measured", "pass", "reported")
"""The worst first."""


def metric_table(report: ParityReport) -> Table:
    """The four metrics of both, and their paired difference."""
    gates = {gate.name: gate for gate in report.gates}
    rows = []
    for row in report.metrics:
        metric = METRICS[row.metric]
        gate = gates[f"{METRIC_OUTPUTS[row.metric]}/{row.metric}"]
        cells = (
            f"{metric.label} {'↓' if metric.lower_is_better else '↑'}",
            NOTHING if row.reference is None else metric.shown(row.reference),
            NOTHING if row.engine is None else metric.shown(row.engine),
            number(row.difference, 2),
            interval(row.interval, 2),
            NOTHING if gate.margin is None else f"±{gate.margin:.2g}",
            number(row.against_reference, 6 if row.metric.startswith("z5") else 3),
            gate.verdict,
        )
        rows.append(Row(cells=cells, verdict=gate.verdict))
    reasons = {row.reason for row in report.metrics if row.reason}
    return Table(
        title="Metrics against the ground truth",
        columns=(
            Column(label="metric", number=False),
            Column(label="PyTorch"),
            Column(label="engine"),
            Column(label="difference"),
            Column(label="95 %"),
            Column(label="margin"),
            Column(label="engine vs PyTorch"),
            Column(label="verdict", number=False),
        ),
        rows=tuple(rows),
        note="; ".join(
            [
                f"Means over {report.images} images. The difference is paired, image by image; "
                '"engine vs PyTorch" takes PyTorch\'s answers for the truth.',
                *sorted(reasons),
            ]
        ),
    )


def movement_table(report: ParityReport) -> Table:
    """How far the engine moves each output."""
    by_name = {gate.name: gate for gate in report.gates}
    rows = []
    for gate in report.gates:
        if not gate.quantity.endswith(P99):
            continue
        stem = gate.quantity.removesuffix(P99)
        largest = by_name[f"{gate.output}/{stem}{LARGEST}"]
        batches = by_name.get(f"{gate.output}/{stem}{BATCHES}")
        verdict = worst(gate, largest, *([batches] if batches else []))
        label = gate.output if stem == "movement" else f"{gate.output}: {stem}"
        cells = (
            label,
            gate.unit,
            number(gate.value, 3),
            interval(gate.interval, 3),
            number(gate.margin),
            number(largest.value, 3),
            number(largest.margin),
            number(batches.value if batches else None, 3),
            number(batches.margin if batches else None),
            verdict,
        )
        rows.append(Row(cells=cells, verdict=verdict))
    return Table(
        title="How far the engine moves what PyTorch answers",
        columns=(
            Column(label="output", number=False),
            Column(label="unit", number=False),
            Column(label="p99"),
            Column(label="95 %"),
            Column(label="margin"),
            Column(label="largest"),
            Column(label="margin"),
            Column(label="by batch"),
            Column(label="margin"),
            Column(label="verdict", number=False),
        ),
        rows=tuple(rows),
        note="p99: 99 % of all points of all images move less. By batch: how far the engine moves "
        f"its own answers, {report.batch_line}.",
    )


def other_table(report: ParityReport) -> Table:
    """The gates that are neither metric nor movement."""
    rows = tuple(
        Row(
            cells=(gate.name, number(gate.value), gate.reason or gate.unit, gate.verdict),
            verdict=gate.verdict,
        )
        for gate in report.gates
        if gate.quantity not in METRICS and not gate.quantity.endswith((P99, LARGEST, BATCHES))
    )
    return Table(
        title="Precision as promised, and nothing but numbers",
        columns=(
            Column(label="gate", number=False),
            Column(label="found"),
            Column(label="", number=False),
            Column(label="verdict", number=False),
        ),
        rows=rows,
    )


def tensor_table(report: ParityReport) -> Table:
    """Differences of the bare numbers."""
    ids = report.evidence.item_ids
    rows = []
    for tensor in report.tensors:
        where = NOTHING
        if tensor.worst_sample is not None:
            where = f"{ids[tensor.worst_sample]} {list(tensor.worst_index or ())}"
        cells = (
            tensor.output,
            number(tensor.largest_absolute, 3),
            number(tensor.mean_absolute, 3),
            number(tensor.relative, 3),
            NOTHING if tensor.cosine is None else f"{tensor.cosine:.9f}",
            number(tensor.median_ulps, 3),
            str(tensor.nan),
            str(tensor.infinite),
            where,
        )
        rows.append(Row(cells=cells, verdict=None if tensor.finite else "fail"))
    return Table(
        title="Tensors, engine against PyTorch",
        columns=(
            Column(label="output", number=False),
            Column(label="largest"),
            Column(label="mean"),
            Column(label="relative"),
            Column(label="cosine"),
            Column(label="median ULPs"),
            Column(label="NaN"),
            Column(label="inf"),
            Column(label="worst at", number=False),
        ),
        rows=tuple(rows),
        note="Absolute differences in each output's own unit. Relative: Euclidean norms. ULPs: "
        "float32 numbers between the two.",
    )


def worst(*gates: Gate) -> Verdict:
    """The most severe verdict of some gates."""
    found = {gate.verdict for gate in gates}
    return next(verdict for verdict in SEVERITY if verdict in found)
