"""Tables of committed reports of `bench run`, from their JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.parity.statistics import stored_interval
from benchmarks.report.doubts import Doubt, doubt_lines
from benchmarks.report.goals import verdict_on
from benchmarks.report.sources import told_line
from benchmarks.report.stage_sections import stage_table
from benchmarks.report.tables import NOTHING, Column, Row, Table, share
from benchmarks.throughput.stages import Staged
from engines.records import from_value

Report = Mapping[str, Any]


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
                    _attained(row["limit"]),
                )
            )
            for row in report["rows"]
        ),
        note=" ".join(doubt_lines([_doubt(row) for row in report["rows"]])),
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def _doubt(row: Report) -> Doubt:
    return Doubt(row["name"], row["batch"], row["latency"]["calls"], row["settled"])


def _attained(limit: Report | None) -> str:
    """Share of the row's limit; ceilings that were not timed among the rows gave no interval."""
    return (
        NOTHING
        if limit is None
        else share(limit["attained"], stored_interval(limit.get("interval")))
    )


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
    found = stored_interval(row["interval"])
    within = f" [{found.low:.2f}, {found.high:.2f}]" if found else ""
    return f"{row['speedup']:.2f}{within}"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a row shall reach."""

    row: str
    batch: int
    least: float
    of: str
    """The quantity: "times PyTorch", "of the ceiling" or "images/s"."""
    needs: str | None = None
    """Instruction of the CPU without which it is no goal."""


GOALS = (
    Goal(row="onnxruntime-fp32", batch=1, least=1.7, of="times PyTorch"),
    Goal(row="openvino-bf16", batch=1, least=7.0, of="times PyTorch", needs="amx_bf16"),
    Goal(row="openvino-bf16", batch=16, least=0.75, of="of the ceiling"),
    Goal(row="openvino-int8-backbone", batch=1, least=115.0, of="images/s"),
)
"""Of a run on two cores."""


def goals(name: str, report: Report) -> str:
    """Each goal beside what was reached; those of this CPU alone."""
    found = {(row["name"], row["batch"]): row for row in report["rows"]}
    able = (None, *report["before"]["instructions"])
    table = Table(
        title="",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="goal"),
            Column(label="reached"),
            Column(label="", number=False),
        ),
        rows=tuple(
            _goal(goal, found.get((goal.row, goal.batch))) for goal in GOALS if goal.needs in able
        ),
    )
    return "\n".join([table.markdown(), told_line(name, report), ""])


def _goal(goal: Goal, row: Report | None) -> Row:
    """A goal as a row."""
    value, within, shown = None, None, NOTHING
    if row is not None and goal.of == "times PyTorch":
        value, within, shown = row["speedup"], stored_interval(row["interval"]), _ratio(row)
    elif row is not None and goal.of == "images/s":
        value, shown = row["images_per_second"], f"{row['images_per_second']:.1f}"
    elif row is not None and row["limit"] is not None:
        limit = row["limit"]
        value, within, shown = (
            limit["attained"],
            stored_interval(limit.get("interval")),
            _attained(limit),
        )
    verdict = verdict_on(goal.least, value, within)
    least = f"{goal.least:.0%}" if goal.of == "of the ceiling" else f"{goal.least:g}"
    return Row(cells=(goal.row, str(goal.batch), f"{least} {goal.of}", shown, verdict))


def stages(name: str, report: Report) -> str:
    """The way from an encoded photo to predictions."""
    staged = [from_value(Staged, row, name) for row in report["staged"]]
    return "\n".join([stage_table(staged, report["photo"]).markdown(), told_line(name, report), ""])
