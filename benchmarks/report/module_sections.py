"""What `bench modules` shows: the time of each part of the network, by our names."""

from benchmarks.report import pieces
from benchmarks.report.figures import COLORS, chart
from benchmarks.report.page import page
from benchmarks.report.pieces import Html, Section
from benchmarks.report.tables import NOTHING, Column, Row, Table, milliseconds
from benchmarks.throughput.modules import BETWEEN, FUSED, UNATTRIBUTED, ModulesReport, Profiled

ROW_PIXELS = 16
"""Of the chart, for each bar."""


def rate(flops: float, milliseconds: float) -> str:
    """GFLOP/s; a dash for what computes no products, or took no time."""
    return f"{flops / milliseconds / 1e6:.0f}" if flops and milliseconds else NOTHING


def module_table(one: Profiled) -> Table:
    """Every part of the network in one engine: milliseconds, shares, rate."""
    rows = [
        Row(
            cells=(
                row.part,
                milliseconds(row.milliseconds),
                f"{row.share:.1%}",
                f"{row.flops_share:.1%}" if row.flops else NOTHING,
                rate(row.flops, row.milliseconds),
                str(row.layers),
            )
        )
        for row in one.rows
    ]
    apart = one.milliseconds / one.plain - 1
    return Table(
        title=f"{one.name} ({one.precision}), batch {one.batch}: {milliseconds(one.milliseconds)} "
        f"ms a call over {one.calls} calls",
        columns=(
            Column(label="part", number=False),
            Column(label="ms"),
            Column(label="share"),
            Column(label="share of FLOPs"),
            Column(label="GFLOP/s"),
            Column(label="layers"),
        ),
        rows=tuple(rows),
        note=(
            f"{one.attributed:.1%} of the layers' time has a part. {FUSED}: layers that compute "
            f"products of several; {UNATTRIBUTED}: layers that stand for no node of the graph, "
            f"such as changes of layout; {BETWEEN}: the rest of the call. Calls before and after, "
            f"not recorded, took {milliseconds(one.plain)} ms: recorded ones {apart:+.0%}, by "
            "being recorded and by what else the machine did."
        ),
    )


def module_chart(report: ModulesReport) -> Html:
    """Milliseconds of a call by part, engine beside engine."""
    parts = list(dict.fromkeys(row.part for one in report.profiled for row in one.rows))
    traces = []
    for color, one in enumerate(report.profiled):
        times = {row.part: row for row in one.rows}
        shown = [part for part in parts if part in times]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": one.name,
                "y": shown,
                "x": [round(times[part].milliseconds, 4) for part in shown],
                "customdata": [round(100 * times[part].share, 2) for part in shown],
                "marker": {"color": color % COLORS},
                "hovertemplate": f"{one.name}, %{{y}}: %{{x}} ms, %{{customdata}} % of the call"
                "<extra></extra>",
            }
        )
    layout = {
        "barmode": "group",
        "showlegend": True,
        "yaxis": {"autorange": "reversed", "automargin": True},
    }
    height = 120 + ROW_PIXELS * len(parts) * (1 + len(report.profiled))
    return chart(traces, title="Milliseconds of a call", x="ms", y="", height=height, layout=layout)


def modules_page(report: ModulesReport) -> str:
    """The report of `bench modules` as one HTML file."""
    machine = report.machine.machine
    tables = [pieces.table(module_table(one)) for one in report.profiled]
    disturbed = [f"Disturbed: {report.watched.disturbed}."] if report.watched.disturbed else []
    section = Section(
        title="Where the time goes",
        lead="By part of the network, under the same names on every runtime.",
        body=[*disturbed, module_chart(report), *tables],
    )
    return page(
        "Time by part of the network",
        [section],
        subtitle=machine.gpu or f"{machine.cpu}, {report.machine.cores} cores",
    )
