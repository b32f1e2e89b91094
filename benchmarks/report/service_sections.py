"""What `bench serve` shows."""

from benchmarks.report import pieces
from benchmarks.report.figures import chart
from benchmarks.report.page import page
from benchmarks.report.pieces import Section
from benchmarks.report.tables import Column, Row, Table
from benchmarks.throughput.service import ServiceReport

SHOWN = ("p50", "p90", "p95", "p99")


def service_table(report: ServiceReport) -> Table:
    """A row a rate; red where p99 passes the limit."""
    return Table(
        title=f"{report.engine} under load: milliseconds from arrival to answer",
        columns=tuple(
            Column(label=label)
            for label in ("arrivals/s", "answers/s", *SHOWN, "largest", "images a batch", "busy")
        ),
        rows=tuple(
            Row(
                cells=(
                    f"{point.rate:.1f}",
                    f"{point.served_per_second:.1f}",
                    *(f"{getattr(point, name):.1f}" for name in SHOWN),
                    f"{point.largest:.1f}",
                    f"{point.mean_batch:.1f}",
                    f"{point.busy:.0%}",
                ),
                verdict="pass" if point.p99 <= report.limit_ms else "fail",
            )
            for point in report.points
        ),
        note=(
            f"Poisson arrivals; a batch leaves after {report.window_ms:g} ms or when "
            f"{report.largest_batch} images are there. {report.precision}. Full batches, one after "
            f"the other, reach {report.capacity:.1f} images/s."
        ),
    )


def service_verdict(report: ServiceReport, target: float | None) -> str:
    """What one machine carries, and what that means for a target."""
    kept = report.sustained
    if kept is None:
        return f"no rate measured keeps p99 within {report.limit_ms:g} ms: try lower --rates"
    beyond = (
        "at no higher rate was it measured"
        if report.failed is None
        else f"not at {report.failed.rate:.1f}"
    )
    line = (
        f"measured: p99 stays within {report.limit_ms:g} ms up to {kept.rate:.1f} images/s "
        f"on this machine, {beyond}"
    )
    if target is None:
        return line
    return (
        f"{line}; calculated, not measured: {report.machines_for(target)} such machines for "
        f"{target:g} images/s, behind a balancer that picks at random"
    )


def service_page(report: ServiceReport, target: float | None) -> str:
    """The report as one HTML file."""
    limit = {
        "shapes": [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": report.limit_ms,
             "y1": report.limit_ms, "line": {"color": 1, "dash": "dash", "width": 2}}
        ],
        "yaxis": {"type": "log"},
        "showlegend": True,
    }  # fmt: skip
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "line": {"color": color},
            "x": [round(point.rate, 3) for point in report.points],
            "y": [round(getattr(point, name), 3) for point in report.points],
        }
        for color, name in enumerate(SHOWN)
    ]
    drawn = chart(traces, title="Latency against load", x="arrivals/s", y="ms", layout=limit)
    machine = report.machine.machine
    return page(
        "Service",
        [
            Section(
                title="Under load",
                lead=service_verdict(report, target),
                body=[drawn, pieces.table(service_table(report))],
            )
        ],
        subtitle=machine.gpu or f"{machine.cpu}, {report.machine.cores} cores",
    )
