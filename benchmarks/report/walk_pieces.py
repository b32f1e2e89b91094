"""What a walk through the modules shows: a table, and a chart of the error along the way."""

from benchmarks.parity.walk import Walk
from benchmarks.report import pieces
from benchmarks.report.figures import chart
from benchmarks.report.pieces import Section
from benchmarks.report.tables import Column, Row, Table, number


def walk_table(found: Walk) -> Table:
    """Error in, error out and amplification of every part, in the graph's order."""
    suspect = found.suspect
    unseen = f" Not to be seen from outside: {', '.join(found.unseen)}." if found.unseen else ""
    return Table(
        title="Part by part",
        columns=(
            Column(label="part", number=False),
            Column(label="error in"),
            Column(label="error out"),
            Column(label="amplification"),
            Column(label="largest difference"),
            Column(label="not finite"),
        ),
        rows=tuple(
            Row(
                cells=(
                    part.part,
                    number(part.error_in, 2),
                    number(part.error_out, 2),
                    number(part.amplification, 2),
                    number(part.largest, 2),
                    str(part.not_finite or "-"),
                ),
                main=part is suspect,
            )
            for part in found.parts
        ),
        note=f"Over {found.images} images, in {found.where}. Errors are relative to the float32 "
        f"graph, in the Euclidean norm.{unseen}",
    )


def walk_section(found: Walk) -> Section:
    """The chart and the table."""
    names = [part.part for part in found.parts]
    bars = {
        "type": "bar",
        "x": names,
        "y": [part.error_out for part in found.parts],
        "marker": {"color": 0},
        "hovertemplate": "%{x}: %{y:.2e}<extra></extra>",
    }
    layout = {
        "yaxis": {"type": "log", "exponentformat": "power"},
        "xaxis": {"tickangle": -60, "automargin": True},
    }
    return Section(
        title="Where it leaves the reference",
        lead=f"{found.headline[0].upper()}{found.headline[1:]}.",
        body=[
            chart(
                [bars],
                title="relative error of what each part hands on",
                x="",
                y="relative error",
                height=460,
                layout=layout,
            ),
            pieces.table(walk_table(found)),
        ],
    )
