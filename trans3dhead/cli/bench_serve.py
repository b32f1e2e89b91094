"""`trans3dhead bench serve`: latency of a service against its load."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Serve an engine to requests that arrive at random, at rising rates, in this process.

    Requests of one image arrive as a Poisson process and are collected into batches. A latency runs
    from arrival to answer, the wait in the queue included. The highest rate whose p99 keeps the
    limit is measured for this machine; what several machines carry is calculated from it. By
    default ten rates are tried, each for ten seconds, or for 300 requests where those take longer.
    """

    engine: tyro.conf.Positional[Path]
    """Engine folder, BUNDLE/engines/NAME. One of an open batch can collect requests."""
    rates: tuple[float, ...] = ()
    """Arrivals a second to try; by default shares of the engine's own capacity, 0.3 to 1.1, and
    four more between the highest that keeps the limit and the lowest that does not."""
    window_ms: float = 5.0
    """Milliseconds that the oldest request waits for company."""
    limit_ms: float = 100.0
    """Milliseconds that the 99th percentile may not pass."""
    seconds: float = 10.0
    """Of arrivals at each rate; more where 300 requests take longer."""
    target: float | None = None
    """Images a second that a service must carry: how many such machines, by calculation."""
    threads: int | None = None
    """CPU threads of the engine; the runtime's own choice by default."""
    html: Path | None = None
    """Also write a report for people: one file that needs no network."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    from benchmarks.report.service_sections import service_page, service_table, service_verdict
    from benchmarks.throughput.serve import serve
    from engines.errors import UserError
    from engines.files import write_whole
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    if options.target is not None and not 0 < options.target < float("inf"):
        raise UserError(f"--target {options.target:g} came; expected images a second above 0")
    console = wide_console()
    with stage_bars(console) as progress:
        report = serve(
            options.engine,
            rates=options.rates or None,
            window=options.window_ms / 1000,
            limit=options.limit_ms / 1000,
            seconds=options.seconds,
            threads=options.threads,
            progress=progress,
        )
    console.print(service_table(report).rich())
    say(console, service_verdict(report, options.target))
    if report.watched.disturbed:
        say(console, f"disturbed: {report.watched.disturbed}", "yellow")
    if options.html is not None:
        write_whole(options.html, service_page(report, options.target))
    data = report.to_dict()
    if options.target is not None:
        data["machines_for_target"] = report.machines_for(options.target)
    return Outcome(data=data, report=report)
