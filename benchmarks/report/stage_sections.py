"""What `bench run --stages` shows: where the time of a whole prediction goes."""

from collections.abc import Sequence

from benchmarks.report import pieces
from benchmarks.report.figures import chart
from benchmarks.report.pieces import Section
from benchmarks.report.tables import NOTHING, Column, Row, Table, milliseconds
from benchmarks.throughput.pipeline import STAGES
from benchmarks.throughput.results import BenchReport
from benchmarks.throughput.stages import TOLERANCE, Staged

ANSWERS = {"pass": "yes", "fail": "no", "inconclusive": "open"}


def stage_table(staged: Sequence[Staged], photo: str | None) -> Table:
    """Mean milliseconds of a call by stage, their sum, and the whole.

    Args:
        photo: what they were timed on, in words.
    """
    labels = (*STAGES[:-1], "post", "sum", "end to end", "gap", "95 %", "host", "GPU")
    return Table(
        title="From an encoded photo to predictions: mean milliseconds of a call",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            *(Column(label=label) for label in labels),
            Column(label="adds up", number=False),
        ),
        rows=tuple(map(_row, staged)),
        note=(
            f"A batch is so many readings of one file, a {photo}. End to end was timed by "
            "itself, in calls whose stages were not; gap: the sum over it, less 1, with its 95 % "
            f"interval; it adds up where that lies within {TOLERANCE:.0%}. Host: copies and "
            "inference together. GPU: the network by its own clock. Stages follow one another "
            "here; `predict` lets them overlap."
        ),
    )


def _row(row: Staged) -> Row:
    cells = (
        row.name,
        str(row.batch),
        *(milliseconds(row.stages[stage].mean) for stage in STAGES),
        milliseconds(row.total),
        milliseconds(row.end_to_end.mean),
        f"{row.gap:+.1%}",
        f"[{row.interval.low:+.1%}, {row.interval.high:+.1%}]",
        milliseconds(row.host_latency),
        NOTHING if row.device is None else milliseconds(row.device.mean),
        ANSWERS[row.adds_up],
    )
    return Row(cells=cells, verdict="fail" if row.adds_up == "fail" else None)


def stage_section(report: BenchReport) -> Section:
    """Bars of stages, one on another, and the table."""
    names = [f"{row.name}, batch {row.batch}" for row in report.staged]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": stage,
            "y": names,
            "x": [round(row.stages[stage].mean / row.batch, 4) for row in report.staged],
            "marker": {"color": color},
            "hovertemplate": f"{stage}: %{{x}} ms a photo<extra></extra>",
        }
        for color, stage in enumerate(STAGES)
    ]
    layout = {
        "barmode": "stack",
        "showlegend": True,
        "yaxis": {"autorange": "reversed", "automargin": True},
    }
    drawn = chart(
        traces,
        title="Milliseconds a photo, by stage",
        x="ms a photo",
        y="",
        height=140 + 34 * len(names),
        layout=layout,
    )
    return Section(
        title="Stages",
        lead="What a photo waits for.",
        body=[drawn, pieces.table(stage_table(report.staged, report.photo))],
    )
