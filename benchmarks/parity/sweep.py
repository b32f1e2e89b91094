"""Does the judge see a damaged weight? Each weight of a graph is scaled, one at a time, and judged.

A weight that nobody misses when it is off by 5 % is no proof that the judge sleeps: softmax makes
some biases inert, and others move an answer by less than half precision does. So what is missed is
measured on other, more images: did it move a metric beyond the margin, or did it not?
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.parity.gates import METRIC_OUTPUTS, Gate, overall
from benchmarks.parity.outputs import Outputs, Progress
from benchmarks.parity.sample import Sample
from benchmarks.parity.statistics import Verdict
from engines.batching import infer_all
from engines.bundle import Bundle
from engines.errors import UserError
from engines.files import write_whole
from engines.manifest import read_manifest
from engines.runtime import bundle_of

if TYPE_CHECKING:
    import onnx

FACTORS = (1.01, 1.05)
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
        return self.weight.endswith((".weight", ".heads", ".basis")) and len(self.shape) > 1

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

    def lines(self) -> list[str]:
        """What was caught, by factor; then what escaped."""
        said = []
        for factor in dict.fromkeys(case.factor for case in self.cases):
            some = [case for case in self.cases if case.factor == factor]
            for what, chosen in (
                ("weights", some),
                ("of them kernels and matrices", [case for case in some if case.is_matrix]),
            ):
                said.append(f"x {factor:g}: {what}: {_counts(chosen)}")
        missed = [case for case in self.cases if not case.caught]
        most = max((case.largest_share for case in missed), default=0.0)
        escaped = [case for case in self.cases if case.escaped]
        said.append(
            f"missed: none moves a metric by more than {most:.0%} of its margin, "
            f"on {self.other} other images"
            if not escaped
            else f"ESCAPED: {len(escaped)} were missed and move a metric past its margin, on "
            f"{self.other} other images: "
            + ", ".join(
                f"{case.weight} x {case.factor:g} ({case.largest_share:.0%})" for case in escaped
            )
        )
        return said


def _counts(cases: Sequence[Case]) -> str:
    caught = [case for case in cases if case.caught]
    failed = sum(case.verdict == "fail" for case in caught)
    share = len(caught) / len(cases) if cases else 0.0
    return (
        f"{len(caught)} of {len(cases)} caught ({share:.0%}): {failed} fail, "
        f"{len(caught) - failed} inconclusive"
    )


def sweep(
    engine_folder: Path,
    judged: Sample,
    other: Sample,
    *,
    factors: Sequence[float] = FACTORS,
    chosen: Callable[[str], bool] = lambda name: True,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Sweep:
    """Scale every weight of an engine's graph by each factor, and judge each.

    Args:
        engine_folder: of ONNX Runtime on the CPU; it stays as it is.
        judged: what `verify` would judge by.
        other: other images, better more of them.
        factors: to scale by.
        chosen: which weights, by name.
        threads: CPU threads; the runtime's own choice where None.
        progress: called with stage, done, total.

    Raises:
        UserError: the engine is of another runtime, or none of its weights is chosen.
    """
    import onnx

    manifest = read_manifest(engine_folder)
    if (manifest.runtime, manifest.provider) != ("onnxruntime", "cpu"):
        raise UserError(
            f"{engine_folder} is of {manifest.runtime} on {manifest.provider}; expected one of "
            "onnxruntime on cpu, whose file is an ONNX graph; build one with `trans3dhead build`"
        )
    model = onnx.load(engine_folder / manifest.file)
    names = [name for name in weights(model) if chosen(name)]
    if not names:
        raise UserError(f"{engine_folder} has no weight of that name; expected at least one")
    total, cases = len(names) * len(factors), []
    for name in names:
        for factor in factors:
            with scaled(model, name, factor) as shape:
                answer = _Candidate(engine_folder, model, threads)
            gates = judged.gates(answer(judged))
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
        judged=len(judged.reference),
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
