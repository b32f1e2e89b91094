"""A foreign model held against a bundle's reference, or against a checkpoint asked anew."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.foreign.engine import ForeignEngine, open_foreign
from benchmarks.parity.harness import judge_engine
from benchmarks.parity.outputs import Mesh, Progress
from benchmarks.parity.results import ParityReport
from benchmarks.parity.yardstick import Yardstick, bundled
from engines.bundle import Bundle
from engines.errors import ContractError


def verify_foreign(
    model: Path,
    adapter: Path,
    bundle_folder: Path,
    head_folder: Path | None = None,
    *,
    margins: Path | None = None,
    limit: int | None = None,
    ask: Callable[[Bundle], Yardstick] | None = None,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> ParityReport:
    """Judge a foreign model as an engine of a bundle; outputs that it does not give are left out.

    Args:
        model, adapter: see `open_foreign`.
        bundle_folder: of the network it is held against.
        margins: a TOML file that overrides the shipped margins: its [foreign] section, or that of
            the adapter's precision.
        head_folder, limit, ask, threads, progress: see `harness.verify`.

    Raises:
        UserError: something cannot be used, or does not fit.
    """
    bundle = Bundle.open(bundle_folder)
    with open_foreign(model, adapter, threads) as engine:
        _check_fit(engine, bundle, model)
        return judge_engine(
            engine,
            bundle,
            ask(bundle) if ask is not None else bundled(bundle, limit),
            mesh=Mesh.of(bundle, head_folder),
            margins=margins,
            name=str(model),
            progress=progress,
        )


def _check_fit(engine: ForeignEngine, bundle: Bundle, model: Path) -> None:
    size, expected = engine.contract.image.size, bundle.contract.image.size
    if size != expected:
        raise ContractError(
            f"the adapter of {model} says crops of {size} px; the images of {bundle.folder} have "
            f"{expected}; expected the same; give a bundle of a network with that size, or "
            "`--data` alone to measure it on labelled images"
        )
    extra = [spec.name for spec in engine.contract.outputs if not bundle.contract.output(spec.name)]
    if extra:
        raise ContractError(
            f"{model} gives {', '.join(extra)}; the bundle {bundle.folder} does not; expected one "
            "that does; export it with `--variant mesh`, or leave that output out of the adapter"
        )
