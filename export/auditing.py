"""How large the numbers inside a network grow: half precision ends at 65,504.

Every floating-point value of the float32 graph is reduced to its largest absolute one while the
reference images pass, so what lies within a module counts too: scores before a softmax, a sum
before its normalisation.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from engines.onnxruntime_session import create_session, run_session
from export.modules import module_of
from export.recipes import Recipe

HALF_LIMIT = 65504.0
"""The largest finite float16."""
MARGIN = 8.0
"""A module is named where its largest value is within this factor of the limit."""
WHOLE = "(the network itself)"
"""Stands for the path of what lies in no module."""
STEP = 8
"""Images a run, where the graph takes any number."""


def largest_values(
    traced: ir.Model,
    images: NDArray[np.uint8],
    batch: int | None,
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, float]:
    """Module path to the largest absolute value of its results and constants, to four digits.

    Args:
        traced: the float32 graph, named by module.
        images: [n, S, S, 3] uint8 RGB.
        batch: of the graph; None where it is open.
        done: called with the number of images looked at so far.
    """
    sources = _sources(traced)
    peaks = largest_magnitudes(traced, list(sources), images, batch, done)
    largest = _of_constants(traced)
    for name, module in sources.items():
        # numpy's maximum keeps what is not a number, as it should
        largest[module] = float(np.maximum(largest[module], peaks[name]))
    return {module: float(f"{value:.4g}") for module, value in sorted(largest.items())}


def largest_magnitudes(
    traced: ir.Model,
    names: Sequence[str],
    images: NDArray[np.uint8],
    batch: int | None,
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, float]:
    """Name of a floating-point value to its largest absolute one; arguments as above."""
    graph = _with_peaks(ir.to_proto(traced), names)
    session = create_session(graph.SerializeToString(), "cpu")
    largest = dict.fromkeys(names, 0.0)
    step = batch or STEP
    filled = np.resize(images, (-(-len(images) // step) * step, *images.shape[1:]))
    for start in range(0, len(filled), step):
        answers = run_session(session, {"image": filled[start : start + step]})
        for index, name in enumerate(names):
            largest[name] = float(np.maximum(largest[name], answers[_peak(index)]))
        done(min(start + step, len(images)))
    return largest


def near_overflow(largest: dict[str, float], recipes: Iterable[Recipe]) -> dict[str, float]:
    """The modules that some recipe computes in float16 and whose numbers come within `MARGIN` of
    its limit, or are none; to their largest values."""
    halves = [recipe for recipe in recipes if recipe.precision == "float16"]
    return {
        module: value
        for module, value in largest.items()
        if not value * MARGIN <= HALF_LIMIT
        and any(recipe.type_of(module) == "float16" for recipe in halves)
    }


def _sources(traced: ir.Model) -> dict[str, str]:
    """Name of every floating-point result to the module that made it."""
    return {
        value.name: module_of(node) or WHOLE
        for node in traced.graph
        for value in node.outputs
        if value.dtype == ir.DataType.FLOAT and value.name
    }


def _of_constants(traced: ir.Model) -> dict[str, float]:
    """Module to the largest of its constants; 0 where it has none."""
    largest: defaultdict[str, float] = defaultdict(float)
    for node in traced.graph:
        module = module_of(node) or WHOLE
        largest[module] += 0.0
        for value in node.inputs:
            if value is not None and value.const_value is not None:
                array: Any = value.const_value.numpy()
                if array.dtype == np.float32 and array.size:
                    largest[module] = max(largest[module], float(np.abs(array).max()))
    return largest


def _with_peaks(graph: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The graph with, for its only outputs, the largest absolute value of each name."""
    del graph.graph.output[:]
    # the last leaf runs first: from the input on, each value is reduced and let go; the other way
    # round all of them would be kept to the end
    for index, name in reversed(list(enumerate(names))):
        distance = f"{_peak(index)}/distance"
        graph.graph.node.append(onnx.helper.make_node("Abs", [name], [distance]))
        graph.graph.node.append(
            onnx.helper.make_node("ReduceMax", [distance], [_peak(index)], keepdims=0)
        )
        graph.graph.output.append(
            onnx.helper.make_tensor_value_info(_peak(index), onnx.TensorProto.FLOAT, [])
        )
    return graph


def _peak(index: int) -> str:
    return f"peak {index}"
