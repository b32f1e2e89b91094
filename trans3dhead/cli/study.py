"""`trans3dhead study`: the method with and without its parts, over several seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Train every variant with every seed on the same rendered heads, and compare them.

    All runs have one budget of samples. What is finished is kept: the same call after an
    interruption makes only what is missing. --json writes what docs/study.md is made from.
    """

    out: tyro.conf.Positional[Path]
    """Folder for the heads and the runs."""
    size: Literal["tiny", "full"] = "tiny"
    """tiny trains on CPUs; full is the paper's network with the budget settings of paper-gpu."""
    variants: tuple[str, ...] = ("baseline", "qamem", "qamem-euler", "paper", "only-3dmm")
    """Presets; the first is what the others are compared with."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Weights and the order of the crops follow from them."""
    samples: int = 40_000
    """Training samples of each run, repetitions counted."""
    heads: int = 4000
    """Rendered heads to train on."""
    unseen: int = 300
    """Rendered heads to measure on."""
    device: str = "cpu"
    """torch's name of where to train, such as cuda."""
    at_once: int = 1
    """Runs side by side. Each takes one CPU thread and its --workers."""
    workers: int = 0
    """Processes that make crops, for each run; 0 does it between the steps."""


def run(options: Options) -> Outcome:
    from benchmarks.report.study_tables import difference_table, study_table
    from benchmarks.study import Plan, study
    from trans3dhead.cli.terminal import wide_console
    from trans3dhead.head.source import resolve_head
    from trans3dhead.synth.dataset import write_dataset

    plan = Plan(
        size=options.size,
        variants=options.variants,
        seeds=options.seeds,
        samples=options.samples,
        heads=options.heads,
        unseen=options.unseen,
    )
    head, data = resolve_head(None), options.out / "heads"
    for split, count in (("train", plan.heads), ("val", plan.unseen)):
        write_dataset(data, split, count, 0, head)
    found = study(
        plan,
        head,
        data,
        options.out,
        device=options.device,
        at_once=options.at_once,
        workers=options.workers,
    )
    values, console = found.to_dict(), wide_console()
    for table in (study_table, difference_table):
        console.print(table(values).rich())
    return Outcome(data=values, report=found)
