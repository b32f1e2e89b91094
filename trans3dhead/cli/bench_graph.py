"""`trans3dhead bench graph`: what the deployed graph gains, on every CPU runtime here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Time the deployed graph, its backbone alone, and a plain export of the trained network.

    All are static and float32 in the file, interleaved in one run. Whole over backbone can at most
    reach the backbone's share of the arithmetic where everything else runs as well; whole over
    plain is what the deployed form gains.
    """

    checkpoint: tyro.conf.Positional[Path]
    """File that `trans3dhead train` wrote; its weights decide nothing of the speed."""
    batch: int = 1
    """Images a call."""
    qamem: Literal["conv", "matmul"] = "conv"
    """Form of query-aware memory in the deployed graph."""
    seconds: float = 5.0
    """Counted seconds for each row."""
    threads: int | None = None
    """CPU threads; each runtime's own choice by default."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    from benchmarks.report.graph_tables import graph_table, ratio_table
    from benchmarks.throughput.graph_bench import bench_graph
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    console = wide_console()
    with stage_bars(console) as progress:
        found = bench_graph(
            options.checkpoint,
            batch=options.batch,
            qamem=options.qamem,
            seconds=options.seconds,
            threads=options.threads,
            progress=progress,
        )
    values = found.to_dict()
    for table in (graph_table, ratio_table):
        console.print(table(values).rich())
    if found.watched.disturbed:
        say(console, f"disturbed: {found.watched.disturbed}", "yellow")
    return Outcome(data=values, report=found)
