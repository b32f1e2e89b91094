"""What a graph must pass before it is published. All faults are gathered into one error."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.building import OPEN_PROFILE
from engines.bundle import Reference
from engines.contract import BATCH, Contract, TensorSpec
from engines.emulation import emulate
from engines.errors import UserError, one_line
from engines.onnxruntime_session import create_session, run_session
from export import rtx_parser
from export.graph import MAX_IR, MAX_OPSET
from export.recipes import Precision

Array = NDArray[Any]

BATCHES = (1, 3, 8)
"""Numbers of images each graph is asked for, and then its maximum: a graph may be right at one and
wrong at the next (NVIDIA/TensorRT issue 4853)."""
TOLERANCES: dict[Precision | Literal["int8"], dict[str, float]] = {
    "float32": {
        "landmarks": 1e-3,
        "params": 1e-5,
        "rotation": 1e-5,
        "vertices": 1e-5,
        "projected": 1e-2,
    },
    # Enough to catch a wrong graph; whether its precision is good enough is for `verify` to judge.
    "float16": {
        "landmarks": 2.0,
        "params": 0.1,
        "rotation": 0.02,
        "vertices": 2e-3,
        "projected": 2.0,
    },
    "bfloat16": {
        "landmarks": 8.0,
        "params": 0.4,
        "rotation": 0.08,
        "vertices": 8e-3,
        "projected": 8.0,
    },
    "int8": {
        "landmarks": 16.0,
        "params": 0.8,
        "rotation": 0.16,
        "vertices": 16e-3,
        "projected": 16.0,
    },
}
"""Largest difference from eager float32, in each output's unit (contract)."""
SHAPE_OPERATORS = ("Shape", "Size", "Expand", "ConstantOfShape", "NonZero", "Range")
"""What a graph of fixed sizes has no reason to hold."""


class CheckError(UserError):
    """Graphs that must not be published."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            f"{len(self.faults)} of the checks failed, nothing was published: "
            f"{'; '.join(self.faults)}; expected graphs that answer as the trained network does; "
            "please report this with the checkpoint's configuration"
        )


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A graph that wants to be published."""

    recipe: str
    precision: Precision
    quantised: bool = False
    path: Path


def check_graphs(
    candidates: Iterable[Candidate],
    contract: Contract,
    reference: Reference,
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, dict[str, float]]:
    """Check form and answers of every graph.

    Args:
        candidates: the graphs.
        contract: what they must keep; its recipes and files may be missing still.
        reference: images and eager answers.
        done: called with the number of graphs checked so far.

    Returns:
        Largest difference from eager PyTorch by recipe and output.

    Raises:
        CheckError: names every fault of every graph.
    """
    faults: list[str] = []
    differences: dict[str, dict[str, float]] = {}
    for count, candidate in enumerate(candidates, start=1):
        model, found = _read(candidate.path)
        if model is not None:
            found += [*form_faults(model, contract), *parse_faults(candidate.path)]
            largest, wrong = _value_faults(candidate, model, contract, reference)
            differences[candidate.recipe] = largest
            found += wrong
        faults += [f"{candidate.recipe}: {fault}" for fault in found]
        done(count)
    if faults:
        raise CheckError(faults)
    return differences


def _read(path: Path) -> tuple[onnx.ModelProto | None, list[str]]:
    """The graph, and what ONNX itself says against it (with full shape inference)."""
    try:
        onnx.checker.check_model(path, full_check=True)
        return onnx.load(path), []
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return None, [f"not valid ONNX ({one_line(error)})"]


def form_faults(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    """Versions, operators, names, types and axes that are not as they must be."""
    if model.ir_version > MAX_IR:
        yield f"IR version {model.ir_version}, expected at most {MAX_IR}"
    for opset in model.opset_import:
        if opset.domain or opset.version > MAX_OPSET:
            yield f"opset {opset.domain or 'ai.onnx'} {opset.version}, expected at most {MAX_OPSET}"
    if contract.batch is not None:
        computed = sorted({n.op_type for n in model.graph.node} & set(SHAPE_OPERATORS))
        if computed:
            yield f"a static graph computes shapes ({', '.join(computed)})"
    yield from _tensor_faults("input", model.graph.input, contract.inputs, contract.batch)
    yield from _tensor_faults("output", model.graph.output, contract.outputs, contract.batch)


def _tensor_faults(
    kind: str,
    found: Iterable[onnx.ValueInfoProto],
    wanted: tuple[TensorSpec, ...],
    batch: int | None,
) -> Iterator[str]:
    values = list(found)
    names, expected = [value.name for value in values], [spec.name for spec in wanted]
    if names != expected:
        yield f"{kind}s are {', '.join(names)}; expected {', '.join(expected)}"
        return
    for value, spec in zip(values, wanted, strict=True):
        tensor = value.type.tensor_type
        axes = tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim)
        first = BATCH if batch is None else batch
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        if (dtype, axes) != (spec.dtype, (first, *spec.axes[1:])):
            yield (
                f"{kind} {spec.name} is {dtype} {list(axes)}; "
                f"expected {spec.dtype} {[first, *spec.axes[1:]]}"
            )


def _value_faults(
    candidate: Candidate, model: onnx.ModelProto, contract: Contract, reference: Reference
) -> tuple[dict[str, float], list[str]]:
    """Largest differences by output, and those beyond the tolerance at any batch size."""
    half = candidate.precision != "float32"
    tolerances = TOLERANCES["int8" if candidate.quantised else candidate.precision]
    wanted = reference.outputs()
    largest: dict[str, float] = {}
    faults = []
    try:
        graph = (emulate(model) if half else model).SerializeToString()
        session = create_session(graph, "cpu")
    except Exception as error:  # ONNX Runtime's classes have no other common base
        return {}, [f"ONNX Runtime does not load it ({one_line(error)})"]
    for batch in batches(contract):
        rows = np.arange(batch) % len(reference)
        try:
            answers = _run(session, reference.images[rows], contract.batch)
        except Exception as error:
            faults.append(f"ONNX Runtime does not run batch {batch} ({one_line(error)})")
            continue
        for name, expected in wanted.items():
            difference = float(np.abs(answers[name] - expected[rows]).max())
            tolerance = tolerances[name]
            largest[name] = max(largest.get(name, 0.0), difference)
            if not difference <= tolerance:  # not-a-number is beyond it too
                faults.append(
                    f"{name} differs by {difference:.3g} from eager PyTorch at batch {batch}, "
                    f"expected at most {tolerance:g}"
                )
    return largest, faults


def batches(contract: Contract) -> list[int]:
    """Numbers of images a graph is asked for, in order.

    Among them is the most that one call takes: the size of a static graph, and of an open one that
    of the engines which `build` makes where it is told nothing.
    """
    return sorted({*BATCHES, contract.batch or OPEN_PROFILE.max})


def _run(session: Any, images: Array, fixed: int | None) -> dict[str, Array]:
    """Any number of images; a static graph gets them in batches of its own size, filled up."""
    step = fixed or len(images)
    filled = np.resize(images, (-(-len(images) // step) * step, *images.shape[1:]))
    parts = [
        run_session(session, {"image": filled[start : start + step]})
        for start in range(0, len(filled), step)
    ]
    return {name: np.concatenate([p[name] for p in parts])[: len(images)] for name in parts[0]}


def parse_faults(path: Path) -> list[str]:
    """What TensorRT-RTX's parser says against the graph; nothing where it is not installed."""
    if not rtx_parser.is_installed():
        return []
    try:
        rtx_parser.parse(path)
    except ValueError as error:
        return [f"TensorRT-RTX does not parse it ({error})"]
    return []
