"""`trans3dhead bench loader`: does the loader keep ahead of the training?"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Make training crops without a network, and say how many a second each core makes.

    Every image is decoded anew; labels come from their cache, which the first call makes.
    """

    data: tyro.conf.Positional[Path]
    """Folder that holds DAD-3DHeadsDataset."""
    split: str = "train"
    """train or val."""
    size: int = 256
    """Side of the crops, pixels."""
    rotate: float = 0.0
    """Largest turn in the plane, degrees."""
    recolour: float = 0.0
    """Share of the crops whose colours change."""
    occlude: float = 0.0
    """Share of the crops that a patch covers."""
    workers: int | None = None
    """Processes; as many as there are processors by default."""
    seconds: float = 5.0
    """Of each of the two measurements."""
    head: Path | None = None
    """Folder of the head model of the labels; the built-in one by default."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    from benchmarks.throughput.loader import bench_loader
    from trans3dhead.head.source import resolve_head
    from trans3dhead.training.config import Augmentation

    found = bench_loader(
        options.data,
        resolve_head(options.head),
        split=options.split,
        size=options.size,
        augmentation=Augmentation(
            rotate=options.rotate, recolour=options.recolour, occlude=options.occlude
        ),
        workers=options.workers,
        seconds=options.seconds,
    )
    print(
        f"{found.items} items of {found.pixels / 1e6:.2f} megapixels; labels in "
        f"{found.label_seconds:.1f} s; an image decodes in {found.decode_ms:.1f} ms\n"
        f"one process: {found.alone:.0f} images/s; {found.workers} workers: "
        f"{found.together:.0f} images/s, {found.per_core:.0f} a core"
    )
    return Outcome(data=found.to_dict(), report=found)
