"""`bench modules`: record engines, and a checkpoint, layer by layer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.throughput.checks import check_at_least_one, check_durations
from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import Progress
from benchmarks.throughput.modules import Graph, ModulesReport, Profiled, attribute
from benchmarks.throughput.rows import Images, names_of
from benchmarks.throughput.watch import watch
from engines.bundle import Bundle
from engines.errors import UserError
from engines.layer_times import repeat
from engines.runtime import bundle_of, open_engine, profile_engine

SECONDS = 3.0


def profile_modules(
    engines: Sequence[Path],
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    batch: int = 1,
    depth: int | None = None,
    seconds: float = SECONDS,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> ModulesReport:
    """Record what each part of the network takes in some engines, one engine after the other.

    Args:
        engines: engine folders.
        checkpoint: also recorded, in eager PyTorch; its modules have the trained network's names.
        device: of the checkpoint, cpu or cuda.
        batch: images a call.
        depth: words of a part's name that are told apart, such as 1; all where None.
        seconds: of recorded calls for each, and of calls that are not, half before and half after.
        threads: CPU threads; each runtime's own choice where None.

    Raises:
        UserError: nothing to record, something cannot be opened or told, or a number makes no
            sense.
    """
    _check(engines, checkpoint, batch=batch, depth=depth, threads=threads, seconds=seconds)
    images, names = Images(engines), names_of(engines, [[batch]] * len(engines))
    total = len(engines) + (checkpoint is not None)
    profiled = []
    with watch() as watcher:
        if checkpoint is not None:
            from benchmarks.throughput.torch_modules import profile_network

            profiled.append(
                profile_network(
                    checkpoint,
                    images,
                    device=device,
                    batch=batch,
                    depth=depth,
                    seconds=seconds,
                    threads=threads,
                )
            )
            progress("engines", 1, total)
        for name, folder in zip(names, engines, strict=True):
            profiled.append(
                _profile(
                    name,
                    folder,
                    images,
                    batch=batch,
                    depth=depth,
                    seconds=seconds,
                    threads=threads,
                )
            )
            progress("engines", len(profiled), total)
    return ModulesReport(
        depth=depth,
        threads=threads,
        profiled=tuple(profiled),
        machine=look(),
        watched=watcher.watched(),
    )


def _check(
    engines: Sequence[Path],
    checkpoint: Path | None,
    *,
    batch: int,
    depth: int | None,
    threads: int | None,
    seconds: float,
) -> None:
    if not engines and checkpoint is None:
        raise UserError(
            "nothing to record came; expected engine folders or a checkpoint; build an engine "
            "with `trans3dhead build`"
        )
    check_at_least_one(batch=batch, depth=depth, threads=threads)
    check_durations(seconds=seconds)


def _profile(
    name: str,
    folder: Path,
    images: Images,
    *,
    batch: int,
    depth: int | None,
    seconds: float,
    threads: int | None,
) -> Profiled:
    import onnx

    with open_engine(folder, threads) as engine:
        manifest = engine.manifest
        inputs = {"image": images(batch, engine.contract.image.size)}
        plain = repeat(lambda: engine.infer(inputs), seconds / 2)
        found = profile_engine(folder, inputs, seconds=seconds, threads=threads)
        plain += repeat(lambda: engine.infer(inputs), seconds / 2)
    graph = Graph(
        onnx.load(Bundle.open(bundle_of(folder.absolute())).graph(manifest.recipe)), batch
    )
    return Profiled(
        name=name,
        runtime=manifest.runtime,
        precision=manifest.effective.precision,
        batch=batch,
        calls=found.calls,
        milliseconds=found.milliseconds,
        plain=float(np.mean(plain)),
        rows=attribute(found, graph, depth),
    )
