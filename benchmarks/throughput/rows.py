"""What can be timed: built engines, peers' files, and PyTorch as the thing to beat.

Every call takes uint8 crops in host memory and returns every output as host arrays.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.checks import check_at_least_one
from benchmarks.throughput.measure import Row, Work
from benchmarks.throughput.pipeline import Photo, Pipeline
from engines.bundle import Bundle
from engines.errors import UserError
from engines.precision import Effective
from engines.runtime import Engine, bundle_of, open_engine
from trans3dhead.head.surface import HeadSurface
from trans3dhead.prediction import head_of

BATCHES = (1, 4, 16)
"""Where none are asked for: those of these that a row can take."""
GPU_PROVIDERS = ("cuda", "tensorrt", "tensorrt-rtx")
"""What computes on a GPU, as manifests name it."""
PLAIN = ", no CUDA graphs"
HOST_TO_HOST = "in and out: uint8 crops to the runtime, every output back to host arrays"


@dataclass(frozen=True)
class Source:
    """A thing that answers crops, at several batch sizes."""

    batches: Sequence[int]
    row: Callable[[int], Row]
    """The row of a batch size."""


Opener = Callable[[], Engine]
"""Opens one more engine of a kind."""


@dataclass(frozen=True)
class Finish:
    """What makes a pipeline of something that answers crops."""

    photo: Photo
    head: HeadSurface
    """That the answers are about."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An engine or a peer's file, with all that its rows need."""

    name: str
    copies: Sequence[Engine]
    """One for each request that will be under way at a time."""
    batches: Sequence[int]
    finish: Finish | None
    """None where no pipeline was asked for, or there is none."""


@contextmanager
def open_rows(
    engines: Sequence[Path],
    *,
    foreign: Sequence[tuple[Path, Path]] = (),
    checkpoints: Sequence[Path] = (),
    compiled: bool = False,
    device: str = "cpu",
    precisions: Sequence[str] = ("float32",),
    head: Path | None = None,
    batches: Sequence[int] | None = None,
    in_flight: Sequence[int] = (1,),
    threads: int | None = None,
    photo: Photo | None = None,
    without_graphs: bool = False,
) -> Iterator[list[Row]]:
    """Open everything and give its rows, batch by batch, checkpoints' first; close at the end.

    Args:
        engines: engine folders.
        foreign: peers' ONNX or TorchScript files, each with its adapter (`foreign.adapter`).
        checkpoints: timed in eager PyTorch; with vertices where an engine gives them.
        compiled: whether to time the checkpoints under torch.compile too.
        device, precisions: of the checkpoints' rows (`torch_row.TorchNetwork`).
        head: folder of the head model, where it is not the built-in one.
        batches: images a call; each must fit every engine. None: those of BATCHES that fit, or
            an engine's own optimum where none does; a checkpoint then follows the engines.
        in_flight: requests under way at a time, a row of each engine for each number.
        threads: CPU threads of every engine; each runtime's own choice where None.
        photo: gives each row of one request in flight a pipeline from it; a peer's file, whose
            answers nobody knows how to finish, has none.
        without_graphs: whether to time each engine that replays CUDA graphs without them too.

    Raises:
        UserError: something cannot be opened, or a batch is outside an engine's profiles.
    """
    _check(
        engines,
        [path for path, _ in foreign],
        checkpoints,
        compiled=compiled,
        device=device,
        precisions=precisions,
        batches=batches,
        in_flight=in_flight,
        threads=threads,
        staged=photo is not None,
    )
    with ExitStack() as stack:
        opened = _open_all(
            stack,
            engines,
            foreign,
            head=head,
            batches=batches,
            copies=max(in_flight),
            threads=threads,
            photo=photo,
            without_graphs=without_graphs,
        )
        images = Images(engines)
        sources = [
            _engine_source(one, count, images, threads=threads)
            for one in opened
            for count in in_flight
        ]
        sizes = sorted({batch for source in sources for batch in source.batches})
        sizes = sizes or sorted(set(batches or BATCHES))
        mesh = any(one.copies[0].contract.output("vertices") for one in opened)
        told = names_of(checkpoints, [sizes] * len(checkpoints))
        sources[:0] = [
            _torch_source(
                checkpoint,
                f", {name}" if len(checkpoints) > 1 else "",
                head,
                images,
                mesh=mesh,
                batches=sizes,
                threads=threads,
                device=device,
                precision=precision,
                compiled=kind,
                photo=photo,
            )
            for checkpoint, name in zip(checkpoints, told, strict=True)
            for precision in precisions
            for kind in ((False, True) if compiled else (False,))
        ]
        yield [
            source.row(batch) for batch in sizes for source in sources if batch in source.batches
        ]


def _open_all(
    stack: ExitStack,
    engines: Sequence[Path],
    foreign: Sequence[tuple[Path, Path]],
    *,
    head: Path | None,
    batches: Sequence[int] | None,
    copies: int,
    threads: int | None,
    photo: Photo | None,
    without_graphs: bool,
) -> list[Opened]:
    """Engines, peers' files, and at last the engines without their CUDA graphs where asked for;
    `stack` closes them."""
    openers: list[Opener] = [partial(open_engine, folder, threads) for folder in engines]
    openers += [partial(_open_foreign, path, adapter, threads) for path, adapter in foreign]
    finishes: list[Finish | None] = [None] * len(openers)
    if photo is not None:
        finishes[: len(engines)] = [Finish(photo, _head_of(folder, head)) for folder in engines]

    def copies_of(opener: Opener) -> list[Engine]:
        return [stack.enter_context(opener()) for _ in range(copies)]

    found = [copies_of(opener) for opener in openers]
    chosen = [batches or _own_batches(engine) for engine, *_ in found]
    names = names_of([*engines, *(path for path, _ in foreign)], chosen)
    opened = [
        Opened(name=name, copies=same, batches=sizes, finish=finish)
        for name, same, sizes, finish in zip(names, found, chosen, finishes, strict=True)
    ]
    if without_graphs:
        for folder, one in _graphed(engines, opened):
            plain = copies_of(partial(_open_plain, folder, threads))
            opened.append(replace(one, name=f"{one.name}{PLAIN}", copies=plain, finish=None))
    return opened


def _check(
    engines: Sequence[Path],
    foreign: Sequence[Path],
    checkpoints: Sequence[Path],
    *,
    compiled: bool,
    device: str,
    precisions: Sequence[str],
    batches: Sequence[int] | None,
    in_flight: Sequence[int],
    threads: int | None,
    staged: bool,
) -> None:
    """A UserError for what makes no sense, before anything is opened."""
    paths = [*engines, *foreign]
    given: dict[str, Sequence[object]] = {
        "engines and peers' files": [path.absolute() for path in paths],
        "--checkpoint": [path.absolute() for path in checkpoints],
        "--checkpoint-precision": precisions,
        "--batch": batches or (),
        "--in-flight": in_flight,
    }
    for option, values in given.items():
        if twice := [str(value) for value, count in Counter(values).items() if count > 1]:
            raise UserError(
                f"{option}: {', '.join(twice)} came more than once; expected each once, for rows "
                "are told apart by it; leave it out"
            )
    check_at_least_one(threads=threads)
    if not paths and not checkpoints:
        raise UserError(
            "nothing to time came; expected engine folders, a peer's file or a checkpoint; "
            "build an engine with `trans3dhead build`"
        )
    if compiled and not checkpoints:
        raise UserError("--compile came without --checkpoint; expected one to compile; give it")
    if not checkpoints and (device != "cpu" or tuple(precisions) != ("float32",)):
        raise UserError(
            "--checkpoint-device or --checkpoint-precision came without --checkpoint; expected one "
            "to time so; give it"
        )
    if batches is not None and min(batches) < 1:
        raise UserError(f"batch {min(batches)} came; expected at least 1 image; mend --batch")
    if not in_flight or min(in_flight) < 1:
        came = ", ".join(map(str, in_flight)) or "nothing"
        raise UserError(f"--in-flight {came} came; expected numbers of requests, at least 1")
    if staged and not checkpoints and (not engines or 1 not in in_flight):
        raise UserError(
            "--stages came with no row that could have them; expected a checkpoint, or an engine "
            "with one request in flight; add one, or leave it out"
        )


def _head_of(folder: Path, head: Path | None) -> HeadSurface:
    return head_of(Bundle.open(bundle_of(folder.absolute())), head)


def _graphed(engines: Sequence[Path], opened: Sequence[Opened]) -> list[tuple[Path, Opened]]:
    """The engines that replay CUDA graphs, the first of `opened`; a UserError where none does."""
    found = [
        (folder, one)
        for folder, one in zip(engines, opened, strict=False)
        if one.copies[0].graphs is not None
    ]
    if not found:
        raise UserError(
            "--without-graphs came; none of these engines replays CUDA graphs, every row computes "
            "without; leave it out"
        )
    return found


def _open_plain(folder: Path, threads: int | None) -> Engine:
    engine = open_engine(folder, threads)
    try:
        engine.graphs = False
    except UserError:
        engine.close()
        raise
    return engine


def _open_foreign(path: Path, adapter: Path, threads: int | None) -> Engine:
    from benchmarks.foreign.engine import open_foreign

    return open_foreign(path, adapter, threads)


def _own_batches(engine: Engine) -> list[int]:
    """Those of BATCHES that an engine takes; its optimum where it takes none of them."""
    manifest = engine.manifest
    return [batch for batch in BATCHES if manifest.fits(batch)] or [manifest.profiles[0].opt]


def _engine_source(
    opened: Opened, in_flight: int, images: "Images", *, threads: int | None
) -> Source:
    """An engine, with so many requests in flight."""
    copies, finish = opened.copies[:in_flight], opened.finish
    manifest, size = copies[0].manifest, copies[0].contract.image.size
    for batch in opened.batches:  # what the engine refuses, it refuses before anything is timed
        for engine in copies:
            engine.infer({"image": images(batch, size)})

    work = _work(copies[0])

    def row(batch: int) -> Row:
        inputs = {"image": images(batch, size)}
        first, *others = (partial(engine.infer, inputs) for engine in copies)
        pipeline = None
        if finish is not None and not others:
            engine = copies[0]
            pipeline = Pipeline(
                photo=finish.photo,
                batch=batch,
                size=size,
                answer=lambda crops, mark: engine.infer({"image": crops}, mark=mark),
                head=finish.head,
                gpu_milliseconds=lambda: engine.gpu_milliseconds,
            )
        return Row(
            name=opened.name if not others else f"{opened.name}, {in_flight} in flight",
            batch=batch,
            call=first,
            beside=tuple(others),
            precision=manifest.effective.precision,
            parity=None if manifest.parity is None else str(manifest.parity["verdict"]),
            copies=HOST_TO_HOST,
            threads=threads,
            work=work,
            pipeline=pipeline,
        )

    return Source(opened.batches, row)


def _work(engine: Engine) -> Work | None:
    """From the contract, and from what the engine really computes in; None for a peer's file, of
    which nobody counted it."""
    contract, manifest = engine.contract, engine.manifest
    if not contract.cost.flops:
        return None
    specs = [*contract.inputs, *contract.outputs]
    return Work(
        flops=flops_by_product(contract.cost.flops, manifest.effective),
        weight_bytes=contract.cost.weight_bytes[manifest.recipe],
        image_bytes=sum(np.dtype(s.dtype).itemsize * math.prod(s.shape(1)) for s in specs),
        device="gpu" if manifest.provider in GPU_PROVIDERS else "cpu",
    )


def flops_by_product(flops: float, effective: Effective) -> dict[str, float]:
    """Those of an image by what their products are computed in; an emulated precision is float32,
    rounded."""
    low, _, rest = effective.precision.partition(" and ")
    if low not in ("int8", "float16", "bfloat16"):
        return {"float32": flops}
    share = effective.low_flops_found
    shares = {low: share, rest or "float32": 1 - share}
    return {kind: share * flops for kind, share in shares.items() if share}


def _torch_source(
    checkpoint: Path,
    suffix: str,
    head: Path | None,
    images: "Images",
    *,
    mesh: bool,
    batches: Sequence[int],
    threads: int | None,
    device: str,
    precision: str,
    compiled: bool,
    photo: Photo | None,
) -> Source:
    from benchmarks.throughput.torch_row import TorchNetwork

    network = TorchNetwork(
        checkpoint,
        head_folder=head,
        mesh=mesh,
        threads=threads,
        device=device,
        precision=precision,
        compiled=compiled,
    )
    model = None if photo is None else network.head_model()
    name = "torch.compile" if compiled else "torch eager"
    if device != "cpu":
        name = f"{name}, {device} {precision}"
    name += suffix

    def row(batch: int) -> Row:
        crops = images(batch, network.size)
        if compiled:
            network.prepare(crops)
        pipeline = None
        if photo is not None and model is not None:
            pipeline = Pipeline(
                photo=photo, batch=batch, size=network.size, answer=network, head=model
            )
        return Row(
            name=name,
            batch=batch,
            call=lambda: network(crops),
            precision=precision,
            copies=HOST_TO_HOST,
            threads=network.threads,
            work=network.work,
            pipeline=pipeline,
        )

    return Source(batches, row)


def names_of(paths: Sequence[Path], batches: Sequence[Sequence[int]]) -> list[str]:
    """Names of engine folders or files; the whole path where two of one batch size share one."""
    count = Counter(
        (path.name, batch) for path, sizes in zip(paths, batches, strict=True) for batch in sizes
    )
    return [
        path.name if all(count[path.name, batch] == 1 for batch in sizes) else str(path)
        for path, sizes in zip(paths, batches, strict=True)
    ]


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
