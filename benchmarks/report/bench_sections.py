"""What a throughput report shows."""

import numpy as np

from benchmarks.report import pieces
from benchmarks.report.doubts import Doubt, doubt_lines
from benchmarks.report.figures import chart, thinned
from benchmarks.report.page import page
from benchmarks.report.pieces import Html, Section
from benchmarks.report.stage_sections import stage_section
from benchmarks.report.tables import (
    NOTHING,
    Column,
    Row,
    Table,
    interval,
    milliseconds,
    number,
    share,
)
from benchmarks.throughput.results import BenchReport
from benchmarks.throughput.roofline import COPY, Ceiling
from benchmarks.throughput.sustained import STEADY, WINDOWS
from benchmarks.throughput.watch import Watched


def bench_page(report: BenchReport) -> str:
    """The report of `bench run` as one HTML file."""
    return page(
        "Throughput",
        bench_sections(report),
        subtitle=f"{machine_line(report)}, one interleaved run",
    )


def bench_sections(report: BenchReport) -> list[Section]:
    """All sections."""
    roofline = [roofline_section(report)] if report.ceilings else []
    long = [sustained_section(report)] if report.sustained else []
    whole = [stage_section(report)] if report.staged else []
    return [throughput_section(report), *whole, *roofline, *long, machine_section(report)]


def throughput_section(report: BenchReport) -> Section:
    """Bars, the table, and the latencies call by call."""
    body: list[Html | str] = [
        throughput_chart(report),
        pieces.table(bench_table(report)),
        latency_chart(report),
    ]
    if report.disturbed:
        body.insert(0, f"Disturbed: {report.disturbed}.")
    return Section(
        title="Throughput",
        lead="Longer bars are better; slow calls are in every number.",
        body=body,
    )


def bench_table(report: BenchReport) -> Table:
    """Every row: images a second, ratio, latency of a call in milliseconds."""
    rows = []
    for row in report.rows:
        latency = row.latency
        ratio = NOTHING if row.speedup is None else f"{row.speedup:.2f} {interval(row.interval)}"
        cells = (
            row.name,
            str(row.batch),
            row.precision,
            row.parity or NOTHING,
            f"{row.images_per_second:.1f}",
            ratio,
            *map(milliseconds, (latency.median, latency.p90, latency.p95, latency.p99)),
            f"{milliseconds(latency.mean)} ± {milliseconds(latency.std)}",
            str(latency.calls),
        )
        rows.append(Row(cells=cells))
    return Table(
        title="Throughput, and latency of a call in milliseconds",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="precision", number=False),
            Column(label="parity", number=False),
            Column(label="images/s"),
            Column(label="times the first"),
            Column(label="median"),
            Column(label="p90"),
            Column(label="p95"),
            Column(label="p99"),
            Column(label="mean ± std"),
            Column(label="calls"),
        ),
        rows=tuple(rows),
        note=" ".join(notes(report)),
    )


def notes(report: BenchReport) -> list[str]:
    """What one must know to read the numbers."""
    threads = {row.threads for row in report.rows}
    said = ", ".join("the runtime's choice" if t is None else str(t) for t in sorted(
        threads, key=lambda t: -1 if t is None else t))  # fmt: skip
    lines = [
        f"Copies {'; '.join(dict.fromkeys(row.copies for row in report.rows))}.",
        f"CPU threads: {said}.",
        "An engine that returns at once takes "
        f"{1000 * report.overhead.median:.1f} microseconds a call: the harness and the checks.",
        '"times the first": images a second over those of the first row of that batch size, '
        "with its 95 % interval.",
    ]
    if any(row.parity for row in report.rows):
        lines.append('Parity: the verdict that `verify` left with the engine; "-": not judged.')
    if any(row.in_flight > 1 for row in report.rows):
        lines.append(
            "Requests in flight: each has an engine and a thread of its own; images/s is by wall "
            "time, latency that of one call."
        )
    doubts = [Doubt(row.name, row.batch, row.latency.calls, row.settled) for row in report.rows]
    return [*lines, *doubt_lines(doubts)]


def throughput_chart(report: BenchReport) -> Html:
    """Images a second of every row, grouped by batch size."""
    names = list(dict.fromkeys(row.name for row in report.rows))
    traces = []
    for color, name in enumerate(names):
        mine = [row for row in report.rows if row.name == name]
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": [f"batch {row.batch}" for row in mine],
                "y": [round(row.images_per_second, 2) for row in mine],
                "text": [f"{row.images_per_second:.1f}" for row in mine],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": color},
                "hovertemplate": f"{name}, %{{x}}: %{{y}} images/s<extra></extra>",
            }
        )
    layout = {"barmode": "group", "bargap": 0.25, "bargroupgap": 0.08, "showlegend": True}
    return chart(traces, title="Images a second", x="", y="images/s", height=360, layout=layout)


def latency_chart(report: BenchReport) -> Html:
    """Share of calls that were faster, call by call."""
    traces = []
    for color, (row, taken) in enumerate(zip(report.rows, report.durations, strict=True)):
        shares = 100 * (np.arange(len(taken)) + 1) / len(taken)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "line": {"shape": "vh", "width": 2, "color": color},
                "name": f"{row.name}, batch {row.batch}",
                "x": thinned(shares).round(3).tolist(),
                "y": thinned(np.sort(taken)).round(4).tolist(),
                "hovertemplate": "%{x:.1f} % of calls: %{y:.3g} ms or less<extra></extra>",
            }
        )
    layout = {
        "yaxis": {"type": "log", "dtick": "D2"},
        "xaxis": {"range": [0, 100]},
        "showlegend": True,
    }
    return chart(
        traces,
        title="Latency, every counted call",
        x="% of calls that took no longer",
        y="ms",
        height=380,
        layout=layout,
    )


def roofline_table(report: BenchReport) -> Table:
    """Every row beside the most it could reach here."""
    rows = []
    for row in report.rows:
        limit = row.limit
        known = (
            (NOTHING,) * 3
            if limit is None
            else (
                f"{limit.images_per_second:.1f}",
                share(limit.attained, limit.interval),
                limit.binds,
            )
        )
        cells = (row.name, str(row.batch), f"{row.images_per_second:.1f}", *known)
        wrong = limit is not None and limit.impossible
        rows.append(Row(cells=cells, verdict="fail" if wrong else None))
    return Table(
        title="Distance from what this machine can do",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="images/s"),
            Column(label="limit"),
            Column(label="reached"),
            Column(label="what binds", number=False),
        ),
        rows=tuple(rows),
        note=(
            f"Ceilings, timed among the rows: {'; '.join(map(_ceiling, report.ceilings))}. The "
            "limit is the longer of the arithmetic and of the weights' and images' bytes; a row "
            "above it would mean that one of the two is measured wrongly."
        ),
    )


def _ceiling(ceiling: Ceiling) -> str:
    unit = "GB/s" if ceiling.kind == COPY else "GFLOP/s"
    return f"{ceiling.device} {ceiling.kind} {ceiling.value / 1e9:.1f} {unit} ({ceiling.by})"


def roofline_section(report: BenchReport) -> Section:
    """The table of limits."""
    return Section(
        title="Roofline",
        lead="How much of the hardware each row uses, and what holds it back.",
        body=[pieces.table(roofline_table(report))],
    )


def sustained_table(report: BenchReport) -> Table:
    """Each row's speed without a pause: whether it held."""
    rows = tuple(
        Row(
            cells=(
                row.name,
                str(row.batch),
                f"{row.seconds:.0f}",
                f"{np.mean(row.windows):.1f}",
                f"{min(row.windows):.1f}",
                f"{max(row.windows):.1f}",
                f"{row.spread:.1%}",
                f"{row.kept:.1%}",
                "held" if row.steady else "fell",
            )
        )
        for row in report.sustained
    )
    return Table(
        title="Sustained: images a second without a pause",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="seconds"),
            Column(label="mean"),
            Column(label="slowest window"),
            Column(label="fastest window"),
            Column(label="spread"),
            Column(label="end over beginning"),
            Column(label="speed", number=False),
        ),
        rows=rows,
        note=f"{WINDOWS} equal windows; beginning and end are a quarter of them each. The speed "
        f"held where the end is at least {1 - STEADY:.0%} of the beginning.",
    )


def sustained_section(report: BenchReport) -> Section:
    """Windows over time, and the table."""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "line": {"width": 2, "color": color},
            "name": f"{row.name}, batch {row.batch}",
            "x": [round(row.seconds * (number + 0.5) / WINDOWS, 2) for number in range(WINDOWS)],
            "y": list(row.windows),
            "hovertemplate": "%{x:.0f} s: %{y:.1f} images/s<extra></extra>",
        }
        for color, row in enumerate(report.sustained)
    ]
    layout = {"showlegend": True, "yaxis": {"rangemode": "tozero"}}
    drawn = chart(
        traces, title="Speed over time", x="seconds", y="images/s", height=340, layout=layout
    )
    return Section(
        title="Sustained",
        lead="A line that falls is a machine that slows down under load.",
        body=[drawn, pieces.table(sustained_table(report))],
    )


def machine_section(report: BenchReport) -> Section:
    """What it ran on."""
    state = report.before
    loads = [state.load_average, report.after.load_average]
    busy = "not measured" if state.other_load is None else f"{state.other_load:.2f} cores"
    shown = {
        "processor": state.machine.cpu,
        "cores": state.cores,
        "instructions": ", ".join(state.instructions) or "none of those that matter",
        "GPU": state.machine.gpu or state.machine.no_gpu,
        "load average, before and after": " and ".join(number(load, 3) for load in loads),
        "other work before the run": busy,
        "rounds": len(report.order),
        **_watched(report.watched),
    }
    gpu = {f"GPU {name}": value for name, value in (state.gpu or {}).items()}
    return Section(
        title="Machine",
        body=[
            pieces.facts({**shown, **gpu}),
            pieces.details("versions", pieces.facts(state.versions)),
        ],
    )


def _watched(watched: Watched) -> dict[str, str]:
    """Extremes during the run; what the machine does not say is left out."""
    ranges = {
        "other work during the run, cores": watched.other_load,
        "CPU clock during the run, MHz": watched.cpu_mhz,
        "CPU power during the run, W": watched.cpu_watts,
        "CPU temperature during the run, °C": watched.cpu_celsius,
        "cores taken by other guests of the host": watched.stolen,
        "GPU clock during the run, MHz": watched.gpu_mhz,
        "GPU power during the run, W": watched.gpu_watts,
        "GPU temperature during the run, °C": watched.gpu_celsius,
    }
    shown = {
        name: f"{found.mean:.4g} ({found.low:.4g} to {found.high:.4g})"
        for name, found in ranges.items()
        if found is not None
    }
    if watched.throttled or watched.gpu_mhz is not None:
        shown["clocks lowered by"] = ", ".join(watched.throttled) or "nothing seen"
    return shown


def machine_line(report: BenchReport) -> str:
    """The machine in a few words."""
    machine = report.before.machine
    return machine.gpu or f"{machine.cpu}, {report.before.cores} cores"
