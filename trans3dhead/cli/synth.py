"""`trans3dhead synth`: labelled images of a head model, with nothing downloaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Render labelled heads in the layout of DAD-3DHeads.

    Light, skin, hair, background, occluders, blur, perspective and pose vary; annotations and
    attributes are exact. The same seed gives the same bytes whatever the number of processes. A
    call that was interrupted goes on where it stopped.
    """

    out: tyro.conf.Positional[Path]
    """Folder that will hold DAD-3DHeadsDataset."""
    split: Literal["train", "val", "test"] = "train"
    """Each split of a seed shows other heads."""
    count: int = 600
    """Number of images; more than last time adds to them."""
    seed: int = 0
    """Whole number from 0."""
    size: int = 288
    """Nominal side of the images in pixels; width and height vary by a ninth around it."""
    head: Path | None = None
    """Folder of a head model; the built-in one by default."""
    workers: int | None = None
    """Processes; as many as there are processors by default."""


def run(options: Options) -> Outcome:
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    from trans3dhead.head.source import resolve_head
    from trans3dhead.synth.dataset import write_dataset

    class Rate(bars.ProgressColumn):
        """Images a second."""

        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed:.0f} images/s" if task.speed else "")

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeRemainingColumn(),
    )
    head = resolve_head(options.head)
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"rendering {options.split}", total=options.count)
        report = write_dataset(
            options.out,
            options.split,
            options.count,
            options.seed,
            head,
            size=options.size,
            workers=options.workers,
            progress=lambda done: bar.advance(task, done),
        )
    speed = report.images_per_second
    said = f"{speed:.0f} images/s with {report.workers} processes" if speed else "nothing to draw"
    print(f"{report.items} heads in {report.folder}: {report.rendered} drawn, {said}")
    return Outcome(
        data={
            "folder": str(report.folder),
            "items": report.items,
            "rendered": report.rendered,
            "seconds": report.seconds,
            "workers": report.workers,
            "images_per_second": speed,
        }
    )
