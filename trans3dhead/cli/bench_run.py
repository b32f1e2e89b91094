"""`trans3dhead bench run`: latency and throughput, side by side in one run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from engines.errors import UserError
from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.throughput.pipeline import Photo
    from benchmarks.throughput.results import BenchReport


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Time engines, peers' files and checkpoints in PyTorch, interleaved in one run.

    A call takes uint8 crops in host memory and ends when every output is back in host arrays.
    Rows take turns every quarter of a second, so that drift hits all alike. The first call of a
    turn is not counted; of the others none is dropped.
    """

    engines: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Engine folders, BUNDLE/engines/NAME."""
    foreign: tuple[Path, ...] = ()
    """Peers' ONNX or TorchScript files with one image input."""
    adapter: tuple[Path, ...] = ()
    """A TOML file for each of --foreign that says what it takes and gives (docs/parity.md)."""
    checkpoint: tuple[Path, ...] = ()
    """Checkpoints to time in eager PyTorch: the first row is what ratios are taken to."""
    checkpoint_device: Literal["cpu", "cuda"] = "cpu"
    """Where the checkpoints are timed."""
    checkpoint_precision: tuple[str, ...] = ("float32",)
    """A row of each checkpoint for each: float32; on a GPU also tf32, float16 and bfloat16."""
    compile: bool = False
    """Time the checkpoints under torch.compile too; compiling is not counted."""
    head: Path | None = None
    """Folder of the head model, where it is not the built-in one."""
    batch: tuple[int, ...] = ()
    """Images a call, such as 1 4 16; by default those of 1, 4 and 16 that each engine takes."""
    in_flight: tuple[int, ...] = (1,)
    """Requests under way at a time, such as 1 2: a row of each engine for each number. Each request
    has an engine and a thread of its own; --threads are those of one engine."""
    without_graphs: bool = False
    """Also time each engine of a GPU without the CUDA graphs that it replays."""
    seconds: float = 5.0
    """Counted seconds for each row."""
    sustained: float | None = None
    """Also call each row for so many seconds without a pause, such as 60: does its speed hold?"""
    stages: bool = False
    """Also time whole predictions, from an encoded photo on: decode, crop, copy in, inference, copy
    out, post-processing, and the whole by itself. Exit code 1 where they do not add up to it."""
    photo: Path | None = None
    """What --stages reads; a rendered head as a JPEG of some 640 pixels by default."""
    bbox: tuple[float, float, float, float] | None = None
    """x y width height around the whole head of --photo, pixels; by default a detector looks."""
    threads: int | None = None
    """CPU threads of every engine; each runtime's own choice by default."""
    roofline: bool = False
    """Also measure what this machine can do at most (matrix products by every library that is
    here, a large copy), and say how far from it each row is. Exit code 1 where one is above: the
    whole 95 % interval over 105 % of its limit."""
    html: Path | None = None
    """Also write a report for people: one file that needs no network."""
    markdown: Path | None = None
    """Also write the tables as Markdown."""
    csv: Path | None = None
    """Also write the rows as CSV."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    from benchmarks.throughput.bench import bench
    from engines.files import write_whole
    from trans3dhead.cli.terminal import stage_bars, wide_console

    if len(options.foreign) != len(options.adapter):
        raise UserError(
            f"{len(options.foreign)} files came with --foreign and {len(options.adapter)} with "
            "--adapter; expected an adapter for each file, in the same order"
        )
    foreign = tuple(zip(options.foreign, options.adapter, strict=True))
    console = wide_console()
    with _photo(options) as photo, stage_bars(console) as progress:
        report = bench(
            options.engines,
            foreign=foreign,
            checkpoints=options.checkpoint,
            compiled=options.compile,
            device=options.checkpoint_device,
            precisions=options.checkpoint_precision,
            head=options.head,
            batches=options.batch or None,
            in_flight=options.in_flight,
            seconds=options.seconds,
            threads=options.threads,
            sustained=options.sustained,
            photo=photo,
            without_graphs=options.without_graphs,
            roofline=options.roofline,
            progress=progress,
        )
    _print(console, report, roofline=options.roofline)
    if options.html is not None:
        from benchmarks.report.bench_sections import bench_page

        write_whole(options.html, bench_page(report))
    if options.markdown is not None:
        from benchmarks.report.markdown import bench_markdown

        write_whole(options.markdown, bench_markdown(report))
    if options.csv is not None:
        from benchmarks.throughput.csv_file import bench_csv

        write_whole(options.csv, bench_csv(report))
    wrong = report.impossible or report.unexplained
    return Outcome(data=report.to_dict(), exit_code=1 if wrong else 0, report=report)


@contextmanager
def _photo(options: Options) -> "Iterator[Photo | None]":
    """What the stages are timed on; a file of a temporary folder where none was given."""
    from benchmarks.throughput.pipeline import find_photo, render_photo

    if not options.stages and (options.photo or options.bbox):
        raise UserError("--photo or --bbox came without --stages; expected it beside them; add it")
    if options.photo is None and options.bbox is not None:
        raise UserError("--bbox came without --photo; expected the photo it lies in; add it")
    with tempfile.TemporaryDirectory() as folder:
        if not options.stages:
            yield None
        elif options.photo is None:
            yield render_photo(Path(folder))
        else:
            yield find_photo(options.photo, options.bbox)


def _print(console: "Console", report: "BenchReport", *, roofline: bool) -> None:
    from benchmarks.report.bench_sections import (
        bench_table,
        machine_line,
        roofline_table,
        sustained_table,
    )
    from benchmarks.report.stage_sections import stage_table
    from trans3dhead.cli.terminal import say

    console.print(bench_table(report).rich())
    if report.ceilings:
        console.print(roofline_table(report).rich())
    elif roofline:
        say(console, "--roofline: no row's work is known, or no library here computes its products")
    if report.sustained:
        console.print(sustained_table(report).rich())
    if report.staged:
        console.print(stage_table(report.staged, report.photo).rich())
    say(console, machine_line(report))
    if report.disturbed:
        say(console, f"disturbed: {report.disturbed}", "yellow")
