"""What can be timed: built engines, and eager PyTorch as the thing to beat.

Every call takes uint8 crops in host memory and returns every output as host arrays.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.measure import Row, Work
from engines.bundle import Bundle
from engines.errors import UserError
from engines.runtime import Engine, bundle_of, open_engine

BATCHES = (1, 4, 16)
"""Where none are asked for: those of these that a row can take."""
HOST_TO_HOST = "in and out: uint8 crops to the runtime, every output back to host arrays"


@dataclass(frozen=True)
class Source:
    """A thing that answers crops, at several batch sizes."""

    batches: Sequence[int]
    row: Callable[[int], Row]
    """The row of a batch size."""


@contextmanager
def open_rows(
    engines: Sequence[Path],
    *,
    checkpoint: Path | None = None,
    head: Path | None = None,
    batches: Sequence[int] | None = None,
    threads: int | None = None,
) -> Iterator[list[Row]]:
    """Open everything and give its rows, batch by batch, a checkpoint's first; close at the end.

    Args:
        engines: engine folders.
        checkpoint: timed as eager float32 PyTorch; with vertices where an engine gives them.
        head: folder of the checkpoint's head model, where it is not the built-in one.
        batches: images a call; each must fit every engine. None: those of BATCHES that fit, or
            an engine's own optimum where none does; a checkpoint then follows the engines.
        threads: CPU threads of every row; each runtime's own choice where None.

    Raises:
        UserError: something cannot be opened, or a batch is outside an engine's profiles.
    """
    if not engines and checkpoint is None:
        raise UserError(
            "nothing to time came; expected engine folders or a checkpoint; "
            "build an engine with `trans3dhead build`"
        )
    if batches is not None and min(batches) < 1:
        raise UserError(f"batch {min(batches)} came; expected at least 1 image; mend --batch")
    with ExitStack() as stack:
        opened = [stack.enter_context(open_engine(folder, threads)) for folder in engines]
        images = Images(engines)
        sources = [
            _engine_source(name, engine, images, batches, threads)
            for name, engine in zip(_names(engines), opened, strict=True)
        ]
        sizes = sorted({batch for source in sources for batch in source.batches})
        sizes = sizes or sorted(set(batches or BATCHES))
        if checkpoint is not None:
            mesh = any(engine.contract.output("vertices") for engine in opened)
            eager = _torch_source(
                checkpoint, head, images, mesh=mesh, batches=sizes, threads=threads
            )
            sources.insert(0, eager)
        yield [
            source.row(batch) for batch in sizes for source in sources if batch in source.batches
        ]


def _engine_source(
    name: str,
    engine: Engine,
    images: "Images",
    batches: Sequence[int] | None,
    threads: int | None,
) -> Source:
    manifest, size = engine.manifest, engine.contract.image.size
    if batches is None:
        fitting = [batch for batch in BATCHES if manifest.fits(batch)]
        batches = fitting or [manifest.profiles[0].opt]
    for batch in batches:  # what the engine refuses, it refuses before anything is timed
        engine.infer({"image": images(batch, size)})

    work = _work(engine)

    def row(batch: int) -> Row:
        inputs = {"image": images(batch, size)}
        return Row(
            name=name,
            batch=batch,
            call=lambda: engine.infer(inputs),
            precision=manifest.effective.precision,
            copies=HOST_TO_HOST,
            threads=threads,
            work=work,
        )

    return Source(batches, row)


def _work(engine: Engine) -> Work:
    """From the contract, and from what the engine really computes in."""
    contract, manifest = engine.contract, engine.manifest
    specs = [*contract.inputs, *contract.outputs]
    return Work(
        flops=contract.cost.flops,
        weight_bytes=contract.cost.weight_bytes[manifest.recipe],
        image_bytes=sum(np.dtype(s.dtype).itemsize * math.prod(s.shape(1)) for s in specs),
        ceiling=product_kind(manifest.effective.precision),
    )


def product_kind(precision: str) -> str:
    """What products are computed in; an emulated precision is float32, rounded."""
    if precision.startswith("int8"):
        return "int8"
    return precision if precision in ("float16", "bfloat16") else "float32"


def _torch_source(
    checkpoint: Path,
    head: Path | None,
    images: "Images",
    *,
    mesh: bool,
    batches: Sequence[int],
    threads: int | None,
) -> Source:
    from benchmarks.throughput.torch_row import EagerNetwork

    network = EagerNetwork(checkpoint, head_folder=head, mesh=mesh, threads=threads)

    def row(batch: int) -> Row:
        crops = images(batch, network.size)
        return Row(
            name="torch eager",
            batch=batch,
            call=lambda: network(crops),
            precision="float32",
            copies=HOST_TO_HOST,
            threads=network.threads,
            work=network.work,
        )

    return Source(batches, row)


def _names(folders: Sequence[Path]) -> list[str]:
    """Engine names; the whole path where two engines share one."""
    count = Counter(folder.name for folder in folders)
    return [folder.name if count[folder.name] == 1 else str(folder) for folder in folders]


class Images:
    """Crops to answer: those of the first bundle, repeated; noise where they do not fit."""

    def __init__(self, engines: Sequence[Path]) -> None:
        self._crops: NDArray[np.uint8] | None = None
        if engines:
            self._crops = Bundle.open(bundle_of(engines[0].absolute())).reference().images

    def __call__(self, batch: int, size: int) -> NDArray[np.uint8]:
        """[batch, size, size, 3] uint8."""
        if self._crops is None or self._crops.shape[1] != size:
            rng = np.random.default_rng(0)
            return rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
        return np.resize(self._crops, (batch, *self._crops.shape[1:]))
