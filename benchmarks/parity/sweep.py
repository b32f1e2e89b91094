"""Does the judge see a damaged weight? Each weight of a graph is scaled, one at a time, and judged.

A weight that nobody misses when it is off by 5 % is no proof that the judge sleeps: softmax makes
some biases inert, and others move an answer by less than half precision does. So what is missed is
measured on other, more images: did it move a metric beyond the margin, or did it not?
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.parity.gates import METRIC_OUTPUTS, Gate, overall
from benchmarks.parity.margins import margins_of
from benchmarks.parity.outputs import Mesh, Outputs, Progress
from benchmarks.parity.sample import Sample
from benchmarks.parity.statistics import MIN_IMAGES, Verdict
from benchmarks.parity.yardstick import bundled, part_of
from engines.batching import infer_all
from engines.bundle import Bundle
from engines.errors import UserError
from engines.files import write_whole
from engines.manifest import read_manifest
from engines.runtime import bundle_of

if TYPE_CHECKING:
    import onnx

FACTORS = (1.01, 1.05)
JUDGED = 64
"""Images judged by: as many as a bundle's reference has unless told otherwise."""
MATRIX = re.compile(r"\.(weight|weights\.\d+|heads|basis)$")
"""How the graphs name what a convolution or a product multiplies by."""
STOPPING: tuple[Verdict, ...] = ("fail", "inconclusive")
FLOATS = (1, 10, 16)
"""FLOAT, FLOAT16 and BFLOAT16 of `onnx.TensorProto`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One weight, scaled."""

    weight: str
    shape: tuple[int, ...]
    factor: float
    verdict: Verdict
    """On the images judged."""
    stopped_by: tuple[str, ...]
    """The gates that failed or stayed open."""
    shares: dict[str, float]
    """Metric to |mean difference| / margin: on the other images where it was missed, on those
    judged where it was caught."""

    @property
    def caught(self) -> bool:
        """Whether `verify` would exit with 1 and `build --verify` not publish."""
        return self.verdict != "pass"

    @property
    def is_matrix(self) -> bool:
        """A kernel or a matrix, no bias and no norm."""
        return MATRIX.search(self.weight) is not None and len(self.shape) > 1

    @property
    def largest_share(self) -> float:
        """Above 1 where a metric moves past its margin."""
        return max(self.shares.values(), default=0.0)

    @property
    def escaped(self) -> bool:
        """Missed, though it moves a metric past its margin: the judge is at fault."""
        return not self.caught and self.largest_share > 1


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All cases of one engine."""

    engine: str
    judged: int
    """Images judged by."""
    other: int
    """Other images, on which what was missed is measured."""
    cases: tuple[Case, ...]

    @property
    def missed(self) -> tuple[Case, ...]:
        """Those nobody noticed, the one that moves a metric most first."""
        missed = [case for case in self.cases if not case.caught]
        return tuple(sorted(missed, key=lambda case: -case.largest_share))

    @property
    def escaped(self) -> tuple[Case, ...]:
        """Those of `missed` that move a metric past its margin."""
        return tuple(case for case in self.missed if case.escaped)

    def of(self, factor: float, *, matrices: bool = False) -> tuple[Case, ...]:
        """The cases of a factor; kernels and matrices alone where asked."""
        return tuple(
            case
            for case in self.cases
            if case.factor == factor and (case.is_matrix or not matrices)
        )

    @property
    def headline(self) -> str:
        """Whether what was missed matters."""
        if self.escaped:
            named = ", ".join(f"{case.weight} x {case.factor:g}" for case in self.escaped)
            return (
                f"FAIL: {len(self.escaped)} were missed and move a metric past its margin, on "
                f"{self.other} other images: {named}"
            )
        most = max((case.largest_share for case in self.missed), default=0.0)
        return (
            f"PASS: what was missed moves no metric by more than {most:.0%} of its margin, on "
            f"{self.other} other images"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {
            "headline": self.headline,
            "escaped": [f"{case.weight} x {case.factor:g}" for case in self.escaped],
        }


def sweep(
    engine_folder: Path,
    head_folder: Path | None = None,
    *,
    margins: Path | None = None,
    judged: int = JUDGED,
    factors: Sequence[float] = FACTORS,
    only: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Sweep:
    """Scale every weight of an engine's graph by each factor, and judge each.

    The gates are those of metrics, movements and finite numbers: no weight touches batches or
    precision.

    Args:
        engine_folder: of ONNX Runtime on the CPU; it stays as it is.
        head_folder: the head model, where the bundle neither holds it nor uses the built-in one.
        margins: a TOML file that overrides the shipped margins.
        judged: the first so many images of the bundle's reference are what `verify` would judge by;
            what is missed is measured on all others.
        factors: to scale by.
        only: weights whose name one of these patterns matches (`*`, `?`); all where none is given.
        threads: CPU threads; the runtime's own choice where None.
        progress: called with stage, done, total.

    Raises:
        UserError: the engine is of another runtime, no weight is chosen, the reference is too small
            or has no ground truth.
    """
    import onnx

    manifest = read_manifest(engine_folder)
    if (manifest.runtime, manifest.provider) != ("onnxruntime", "cpu"):
        raise UserError(
            f"{engine_folder} is of {manifest.runtime} on {manifest.provider}; expected one of "
            "onnxruntime on cpu, whose file is an ONNX graph; build one with `trans3dhead build`"
        )
    bundle = Bundle.open(bundle_of(engine_folder.absolute()))
    reference = bundled(bundle, None).reference
    if not MIN_IMAGES <= judged <= len(reference) - MIN_IMAGES:
        raise UserError(
            f"{judged} images to judge by came, of the {len(reference)} of the bundle's reference; "
            f"expected at least {MIN_IMAGES}, and as many left to measure what is missed; export "
            f"with `--count {2 * max(judged, JUDGED)}`"
        )
    allowed = margins_of(manifest.recipe, bundle.contract.recipes[manifest.recipe], margins)
    mesh, size = Mesh.of(bundle, head_folder), bundle.contract.image.size
    judge, other = (
        Sample(part_of(reference, part), mesh, allowed, crop_size=size)
        for part in (slice(judged), slice(judged, None))
    )
    model = onnx.load(engine_folder / manifest.file)
    known = weights(model)
    names = [
        name for name in known if any(fnmatchcase(name, pattern) for pattern in only or ("*",))
    ]
    if not names:
        raise UserError(
            f"no weight of {engine_folder} is called {' or '.join(only)}; expected names such as "
            f"{', '.join(known[:3])}"
        )
    total, cases = len(names) * len(factors), []
    for name in names:
        for factor in factors:
            with scaled(model, name, factor) as shape:
                answer = _Candidate(engine_folder, model, threads)
            gates = judge.gates(answer(judge))
            verdict = overall(gates)
            shares = _shares(other.gates(answer(other)) if verdict == "pass" else gates)
            cases.append(
                Case(
                    weight=name,
                    shape=shape,
                    factor=factor,
                    verdict=verdict,
                    stopped_by=tuple(g.name for g in gates if g.verdict in STOPPING),
                    shares=shares,
                )
            )
            progress("weights", len(cases), total)
    return Sweep(
        engine=str(engine_folder),
        judged=judged,
        other=len(other.reference),
        cases=tuple(cases),
    )


def _shares(gates: Sequence[Gate]) -> dict[str, float]:
    """Metric to |mean difference| / margin."""
    return {
        gate.quantity: abs(gate.value) / gate.margin
        for gate in gates
        if gate.quantity in METRIC_OUTPUTS and gate.margin and gate.value is not None
    }


class _Candidate:
    """A graph, run as the engine is."""

    def __init__(self, engine_folder: Path, model: "onnx.ModelProto", threads: int | None) -> None:
        from engines.onnxruntime_engine import OnnxRuntimeEngine

        bundle = Bundle.open(bundle_of(engine_folder.absolute()))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            write_whole(path, model.SerializeToString())
            self._engine = OnnxRuntimeEngine(bundle, read_manifest(engine_folder), path, threads)

    def __call__(self, sample: Sample) -> Outputs:
        return infer_all(self._engine, sample.reference.images)


def weights(model: "onnx.ModelProto") -> list[str]:
    """Names of the weights of a graph: floating-point constants named by their module."""
    return [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type in FLOATS and "." in tensor.name
    ]


@contextmanager
def scaled(model: "onnx.ModelProto", name: str, factor: float) -> Iterator[tuple[int, ...]]:
    """The model with one weight scaled while the block runs; gives the weight's shape."""
    import onnx

    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    values = onnx.numpy_helper.to_array(tensor)
    kept = onnx.TensorProto()
    kept.CopyFrom(tensor)
    damaged = (values.astype(np.float32) * np.float32(factor)).astype(values.dtype)
    tensor.CopyFrom(onnx.numpy_helper.from_array(damaged, name))
    try:
        yield values.shape
    finally:
        tensor.CopyFrom(kept)
