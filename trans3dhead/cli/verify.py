"""`trans3dhead verify`: is the engine as good as PyTorch?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from engines.errors import UserError
from trans3dhead.cli.common import CommonOptions, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.parity.outputs import Progress
    from benchmarks.parity.results import ParityReport
    from benchmarks.parity.yardstick import Yardstick
    from engines.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Judge an engine by what PyTorch answers in eager float32.

    Its answers stand in the bundle's reference, so this needs no torch; with --checkpoint and
    --data it is asked anew.

    A gate passes where the whole 95 % interval lies within its margin, fails where the whole
    interval lies beyond it, and is inconclusive otherwise. Exit code 0: every gate passed;
    1: a gate failed or is inconclusive, and each is listed with number, interval and margin.
    The verdict is written into the engine's manifest.
    """

    engine: tyro.conf.Positional[Path]
    """Engine folder, BUNDLE/engines/NAME, made by `trans3dhead build`."""
    head: Path | None = None
    """Folder of the head model, where the bundle neither holds it nor uses the built-in one."""
    margins: Path | None = None
    """TOML file whose margins replace the shipped ones (benchmarks/parity/margins.toml)."""
    checkpoint: Path | None = None
    """Judge by this checkpoint's answers for --data in place of the bundle's reference."""
    data: Path | None = None
    """Folder that holds DAD-3DHeadsDataset, for --checkpoint."""
    split: Literal["val", "test"] = "val"
    """Split of --data; never the one trained on."""
    limit: int | None = None
    """Judge so many images alone: quicker, and sure of less."""
    threads: int | None = None
    """CPU threads; the runtime's own choice by default."""
    html: Path | None = None
    """Also write a report for people: one file that needs no network."""
    markdown: Path | None = None
    """Also write the tables as Markdown."""


def run(options: Options) -> Outcome:
    from benchmarks.parity.harness import verify
    from engines.files import write_whole
    from trans3dhead.cli.terminal import stage_bars, wide_console

    console = wide_console()
    with stage_bars(console) as progress:
        report = verify(
            options.engine,
            options.head,
            margins=options.margins,
            limit=options.limit,
            ask=_eager(options, progress),
            threads=options.threads,
            progress=progress,
        )
    print_report(console, report)
    if options.html is not None:
        from benchmarks.report.parity_sections import parity_page

        write_whole(options.html, parity_page(report))
    if options.markdown is not None:
        from benchmarks.report.markdown import parity_markdown

        write_whole(options.markdown, parity_markdown(report))
    return Outcome(data=report.to_dict(), exit_code=0 if report.passed else 1, report=report)


def _eager(options: Options, progress: "Progress") -> "Callable[[Bundle], Yardstick] | None":
    """What asks the checkpoint anew; None where the bundle's reference is the judge."""
    checkpoint, data = options.checkpoint, options.data
    if checkpoint is None and data is None:
        return None
    if checkpoint is None or data is None:
        raise UserError(
            f"--checkpoint {checkpoint} and --data {data} came; expected both or neither; "
            "with neither the bundle's reference is the judge"
        )
    from benchmarks.eager import ask_checkpoint

    return lambda bundle: ask_checkpoint(
        bundle,
        checkpoint,
        data,
        split=options.split,
        limit=options.limit,
        head=options.head,
        progress=progress,
    )


def print_report(console: "Console", report: "ParityReport") -> None:
    """The tables, each gate that did not pass, and the verdict as the last line."""
    from benchmarks.report.parity_tables import metric_table, movement_table, tensor_table
    from benchmarks.report.tables import STYLES
    from trans3dhead.cli.terminal import say

    for table in (metric_table, movement_table, tensor_table):
        console.print(table(report).rich())
    for verdict in ("fail", "inconclusive", "not measured"):
        for gate in report.with_verdict(verdict):
            say(console, gate.line(), STYLES[verdict])
    say(console, report.digits_line)
    say(console, report.blind_line)
    say(console, report.headline, STYLES[report.verdict])
