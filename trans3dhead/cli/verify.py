"""`trans3dhead verify`: is the engine as good as PyTorch?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    """Engine folder, BUNDLE/engines/NAME, made by `trans3dhead build`; with --adapter a foreign
    model's file, ONNX or TorchScript."""
    adapter: Path | None = None
    """TOML file that says what a foreign model takes and gives (docs/parity.md). It is held
    against the network of --bundle; with --data alone it is measured on labelled images, not
    judged: there is nothing it should equal."""
    bundle: Path | None = None
    """With --adapter: bundle whose reference judges the foreign model."""
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
    walk: bool = False
    """Also look into the engine part by part: where does it leave the reference? The bundle must
    hold the recipe fp32."""
    limit: int | None = None
    """Judge so many images alone: quicker, and sure of less."""
    threads: int | None = None
    """CPU threads; the runtime's own choice by default."""
    html: Path | None = None
    """Also write a report for people: one file that needs no network."""
    markdown: Path | None = None
    """Also write the tables as Markdown."""


def run(options: Options) -> Outcome:
    from engines.files import write_whole
    from trans3dhead.cli.terminal import stage_bars, wide_console

    if options.walk and options.adapter is not None:
        raise UserError(
            f"--walk came with the foreign model {options.engine}; expected an engine of this "
            "project, whose parts have names; leave --walk out"
        )
    if _measures_only(options):
        return _measured(options)
    console = wide_console()
    with stage_bars(console) as progress:
        report = _judged(options, progress)
        if options.walk:
            from benchmarks.parity.walk import walk

            found = walk(options.engine, threads=options.threads, progress=progress)
            report = replace(report, walk=found)
    print_report(console, report)
    if options.html is not None:
        from benchmarks.report.parity_sections import parity_page

        write_whole(options.html, parity_page(report))
    if options.markdown is not None:
        from benchmarks.report.markdown import parity_markdown

        write_whole(options.markdown, parity_markdown(report))
    return Outcome(data=report.to_dict(), exit_code=0 if report.passed else 1, report=report)


def _judged(options: Options, progress: "Progress") -> "ParityReport":
    """The report on an engine, or on a foreign model."""
    ask = _eager(options, progress)
    if options.adapter is not None:
        from benchmarks.foreign.judging import verify_foreign

        assert options.bundle is not None
        return verify_foreign(
            options.engine,
            options.adapter,
            options.bundle,
            options.head,
            margins=options.margins,
            limit=options.limit,
            ask=ask,
            threads=options.threads,
            progress=progress,
        )
    from benchmarks.parity.harness import verify

    return verify(
        options.engine,
        options.head,
        margins=options.margins,
        limit=options.limit,
        ask=ask,
        threads=options.threads,
        progress=progress,
    )


def _measures_only(options: Options) -> bool:
    """Whether a foreign model has labelled images alone; a UserError for what does not fit."""
    if options.adapter is None:
        if options.bundle is not None:
            raise UserError(
                f"--bundle {options.bundle} came without --adapter; expected both or neither; an "
                "engine is judged by the bundle it lies in"
            )
        return False
    if options.bundle is None and (options.data is None or options.checkpoint is not None):
        raise UserError(
            "--adapter came with nothing to hold the model against; expected `--bundle BUNDLE`, "
            "or `--data FOLDER` alone to measure it on labelled images"
        )
    return options.bundle is None


def _measured(options: Options) -> Outcome:
    """The metrics of a foreign model on labelled images, as `trans3dhead evaluate` shows them."""
    from trans3dhead.cli import evaluate

    if options.html or options.markdown or options.margins:
        raise UserError(
            "--html, --markdown or --margins came for a model that is measured, not judged; "
            "expected `--bundle BUNDLE` beside them; leave them out, or give one"
        )
    assert options.data is not None
    outcome = evaluate.run(
        evaluate.Options(
            model=options.engine,
            adapter=options.adapter,
            data=options.data,
            split=options.split,
            head=options.head,
            limit=options.limit,
            threads=options.threads,
        )
    )
    print("measured, not judged: give --bundle BUNDLE to hold it against a network")
    return outcome


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
    if report.walk is not None:
        from benchmarks.report.walk_pieces import walk_table

        console.print(walk_table(report.walk).rich())
        say(console, report.walk.headline)
    for verdict in ("fail", "inconclusive", "not measured"):
        for gate in report.with_verdict(verdict):
            say(console, gate.line(), STYLES[verdict])
    say(console, report.digits_line)
    say(console, report.blind_line)
    say(console, report.time_line, "dim")
    say(console, report.headline, STYLES[report.verdict])
