"""`trans3dhead evaluate aflw2000`: head pose in degrees, beside the papers' numbers."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Measure the mean absolute error of pitch, yaw and roll on AFLW2000-3D.

    Images with an angle beyond 99 degrees are left out, as everyone does. The data brings no boxes:
    they are made from its 68 points (docs/evaluation.md says how), and that moves the result.
    """

    model: tyro.conf.Positional[Path]
    """Checkpoint file, engine folder BUNDLE/engines/NAME, or with --adapter a foreign model."""
    data: Path
    """Folder with AFLW2000-3D's images and their .mat files."""
    head: Path | None = None
    """Folder of the head model, where it is not the built-in one and the bundle does not bring
    it."""
    adapter: Path | None = None
    """TOML file that says what a foreign ONNX or TorchScript model takes and gives
    (docs/parity.md)."""
    threads: int | None = None
    """CPU threads of an engine; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from trans3dhead.aflw2000 import PUBLISHED, evaluate_aflw2000
    from trans3dhead.cli.opening import open_predictor
    from trans3dhead.data.aflw2000 import LIMIT, read_aflw2000

    photos = read_aflw2000(options.data)
    opened = open_predictor(
        options.model, head=options.head, adapter=options.adapter, threads=options.threads
    )
    with opened as (predictor, _, _), Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("evaluating AFLW2000-3D", total=len(photos))
        found = evaluate_aflw2000(
            predictor, photos, progress=lambda done: bar.update(task, completed=done)
        )
    values = found.to_dict()
    table = Table("degrees ↓", "mean", "pitch", "yaw", "roll")
    rows = {f"this model, {found.images} images": values, **PUBLISHED}
    for name, row in rows.items():
        numbers = (row.get(angle) for angle in ("mean", "pitch", "yaw", "roll"))
        table.add_row(name, *("-" if n is None else f"{n:.2f}" for n in numbers))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{len(found.left_out)} images with an angle beyond {LIMIT:g} degrees left out")
    return Outcome(data=values, report=found)
