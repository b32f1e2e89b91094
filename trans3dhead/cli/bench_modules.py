"""`trans3dhead bench modules`: where the time goes, part by part."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Record what each part of the network takes, on any runtime, by our names.

    ONNX Runtime, OpenVINO and TensorRT tell it by their own profiles, PyTorch by hooks. What a
    runtime fuses across parts, names by none, or passes between its layers has rows of its own;
    all rows add up to the call. Recording costs time, so what a plain call takes is told beside.
    """

    engines: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Engine folders, BUNDLE/engines/NAME."""
    checkpoint: Path | None = None
    """Checkpoint to record in eager PyTorch too."""
    checkpoint_device: Literal["cpu", "cuda"] = "cpu"
    """Where the checkpoint is recorded."""
    batch: int = 1
    """Images a call."""
    depth: int | None = None
    """Words of a part's name that are told apart, such as 1: backbone, landmark_branch, ... All by
    default: the parts that `verify --walk` speaks of."""
    seconds: float = 3.0
    """Of recorded calls for each engine, and as long of plain ones, half before and half after."""
    threads: int | None = None
    """CPU threads of every engine; each runtime's own choice by default."""
    html: Path | None = None
    """Also write a report for people: one file that needs no network."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    from benchmarks.report.module_sections import module_table, modules_page
    from benchmarks.throughput.module_bench import profile_modules
    from engines.files import write_whole
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    console = wide_console()
    with stage_bars(console) as progress:
        report = profile_modules(
            options.engines,
            checkpoint=options.checkpoint,
            device=options.checkpoint_device,
            batch=options.batch,
            depth=options.depth,
            seconds=options.seconds,
            threads=options.threads,
            progress=progress,
        )
    for one in report.profiled:
        console.print(module_table(one).rich())
    if report.watched.disturbed:
        say(console, f"disturbed: {report.watched.disturbed}", "yellow")
    if options.html is not None:
        write_whole(options.html, modules_page(report))
    return Outcome(data=report.to_dict(), report=report)
