"""Tables of committed reports of `bench run` and `bench modules`, from their JSON."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.report.sources import told_line
from benchmarks.report.stage_sections import stage_table
from benchmarks.report.tables import NOTHING, Column, Row, Table
from benchmarks.throughput.modules import BETWEEN, FUSED, UNATTRIBUTED, PartRow, Profiled
from benchmarks.throughput.stages import Staged
from engines.records import from_value

Report = Mapping[str, Any]
WORDS = 3
"""Of a part's name, such as landmark_branch.layers.0: a page has no room for more."""
NO_PART = (FUSED, UNATTRIBUTED, BETWEEN)
"""Rows that are no part's, at the end."""


def rows(name: str, report: Report) -> str:
    """Every row: speed, ratio, latency, and what of the machine's limit it reaches."""
    judged = any(row.get("parity") for row in report["rows"])
    table = Table(
        title="",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="precision", number=False),
            *([Column(label="parity", number=False)] if judged else []),
            Column(label="images/s"),
            Column(label="times the first", number=False),
            Column(label="median ms"),
            Column(label="p99 ms"),
            Column(label="of its limit"),
        ),
        rows=tuple(
            Row(
                cells=(
                    row["name"],
                    str(row["batch"]),
                    row["precision"],
                    *([row["parity"] or NOTHING] if judged else []),
                    f"{row['images_per_second']:.4g}",
                    _ratio(row),
                    f"{row['latency']['median']:.3g}",
                    f"{row['latency']['p99']:.3g}",
                    NOTHING if row["limit"] is None else f"{row['limit']['attained']:.0%}",
                )
            )
            for row in report["rows"]
        ),
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def matrix(name: str, report: Report) -> str:
    """A line for each engine: images a second at each batch size, and times the first."""
    batches = list(dict.fromkeys(row["batch"] for row in report["rows"]))
    engines: dict[str, dict[int, Report]] = {}
    for row in report["rows"]:
        engines.setdefault(row["name"], {})[row["batch"]] = row
    lines = []
    for engine, found in engines.items():
        verdicts = dict.fromkeys(row.get("parity") or NOTHING for row in found.values())
        cells = [_speed(found[batch]) if batch in found else NOTHING for batch in batches]
        precision = next(iter(found.values()))["precision"]
        lines.append(Row(cells=(engine, precision, ", ".join(verdicts), *cells)))
    table = Table(
        title="",
        columns=(
            Column(label="images/s", number=False),
            Column(label="precision", number=False),
            Column(label="parity", number=False),
            *(Column(label=f"batch {batch}") for batch in batches),
        ),
        rows=tuple(lines),
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def _speed(row: Report) -> str:
    ratio = "" if row["speedup"] is None else f" ({row['speedup']:.1f} times)"
    return f"{row['images_per_second']:.1f}{ratio}"


def _ratio(row: Report) -> str:
    if row["speedup"] is None:
        return NOTHING
    interval = row["interval"]
    within = f" [{interval['low']:.2f}, {interval['high']:.2f}]" if interval else ""
    return f"{row['speedup']:.2f}{within}"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a row shall reach."""

    row: str
    batch: int
    least: float
    of: str
    """The quantity: "times PyTorch", "of the ceiling" or "images/s"."""


GOALS = (
    Goal(row="onnxruntime-fp32", batch=1, least=1.7, of="times PyTorch"),
    Goal(row="openvino-bf16", batch=1, least=7.0, of="times PyTorch"),
    Goal(row="openvino-bf16", batch=16, least=0.75, of="of the ceiling"),
    Goal(row="openvino-int8-backbone", batch=1, least=115.0, of="images/s"),
)
"""Of a run on a CPU with AMX, two cores."""


def goals(name: str, report: Report) -> str:
    """Each goal beside what was reached."""
    found = {(row["name"], row["batch"]): row for row in report["rows"]}
    table = Table(
        title="",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="goal"),
            Column(label="reached"),
            Column(label="", number=False),
        ),
        rows=tuple(_goal(goal, found.get((goal.row, goal.batch))) for goal in GOALS),
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def _goal(goal: Goal, row: Report | None) -> Row:
    """Reached where the whole interval of the ratio is; a value without one decides itself."""
    low = high = value = None
    shown = NOTHING
    if row is not None and goal.of == "times PyTorch":
        value, interval = row["speedup"], row["interval"]
        low, high = (interval["low"], interval["high"]) if interval else (value, value)
        shown = _ratio(row)
    elif row is not None and goal.of == "images/s":
        value = low = high = row["images_per_second"]
        shown = f"{value:.1f}"
    elif row is not None and row["limit"] is not None:
        value = low = high = row["limit"]["attained"]
        shown = f"{value:.0%}"
    verdict = "not measured"
    if low is not None and high is not None:
        verdict = "met" if low >= goal.least else "missed" if high < goal.least else "open"
    least = f"{goal.least:.0%}" if goal.of == "of the ceiling" else f"{goal.least:g}"
    return Row(cells=(goal.row, str(goal.batch), f"{least} {goal.of}", shown, verdict))


def stages(name: str, report: Report) -> str:
    """The way from an encoded photo to predictions."""
    staged = [from_value(Staged, row, name) for row in report["staged"]]
    return "\n".join([stage_table(staged, report["photo"]).markdown(), told_line(name, report), ""])


def modules(name: str, report: Report) -> str:
    """The parts of the network beside each other on every engine that was recorded."""
    engines = [
        (found, _folded(from_value(Profiled, _fields(found), name).rows))
        for found in report["profiled"]
    ]
    parts = dict.fromkeys(part for _, folded in engines for part in folded)
    lines = [Row(cells=(part, *(_part(folded.get(part)) for _, folded in engines)))
             for part in [*(p for p in parts if p not in NO_PART), *NO_PART]]  # fmt: skip
    calls = ("a call", *(f"{found['milliseconds']:.3g}" for found, _ in engines))
    table = Table(
        title="",
        columns=(
            Column(label="ms (GFLOP/s)", number=False),
            *(Column(label=found["name"]) for found, _ in engines),
        ),
        rows=(*lines, Row(cells=calls)),
    )
    before = {"before": report["machine"], "disturbed": report["disturbed"]}
    return "\n".join([table.markdown(), told_line(name, before), ""])


def _fields(found: Report) -> Report:
    return {key: value for key, value in found.items() if key != "attributed"}


def _folded(rows: Iterable[PartRow]) -> dict[str, tuple[float, float]]:
    """Milliseconds and operations by the first words of the parts' names."""
    folded: defaultdict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for row in rows:
        part = ".".join(row.part.split(".")[:WORDS])
        spent, flops = folded[part]
        folded[part] = spent + row.milliseconds, flops + row.flops
    return dict(folded)


def _part(found: tuple[float, float] | None) -> str:
    if found is None:
        return NOTHING
    milliseconds, flops = found
    rate = f" ({flops / milliseconds / 1e6:.0f})" if flops and milliseconds else ""
    return f"{milliseconds:.2f}{rate}"
