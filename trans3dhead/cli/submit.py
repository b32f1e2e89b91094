"""`trans3dhead submit`: a model's predictions as the DAD-3DHeads benchmark takes them."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Predict every item of a split and write the benchmark's JSON.

    Works for checkpoints and for every engine, and for splits without annotations (test).
    """

    model: tyro.conf.Positional[Path]
    """Checkpoint file, or engine folder BUNDLE/engines/NAME."""
    data: Path
    """Folder that holds DAD-3DHeadsDataset."""
    out: Path
    """The JSON file."""
    split: str = "test"
    """train, val or test."""
    head: Path | None = None
    """Folder of the head model, where it is not the built-in one and the bundle does not bring
    it."""
    threads: int | None = None
    """CPU threads of an engine; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    from rich.console import Console
    from rich.progress import Progress

    from trans3dhead.cli.opening import open_predictor
    from trans3dhead.data.dad3dheads import HeadDataset
    from trans3dhead.submission import write_submission

    dataset = HeadDataset(options.data, options.split)
    opened = open_predictor(options.model, head=options.head, threads=options.threads)
    with opened as (predictor, head, _), Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"predicting {options.split}", total=len(dataset))
        write_submission(
            predictor,
            dataset,
            head,
            options.out,
            progress=lambda done: bar.update(task, completed=done),
        )
    print(f"{len(dataset)} items in {options.out}")
    return Outcome(data={"file": str(options.out), "items": len(dataset)})
