"""The probe: does a runtime really compute in half, or in float32 without rounding?

A tiny graph, built the way the engine's graph is built, multiplies two numbers whose product half
precision cannot hold: past 65504 it must become infinite. What comes out decides the name.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engines.precision import SHORT_NAMES

if TYPE_CHECKING:
    import onnx

OPSET, IR = 17, 8

FACTORS = {
    "float16": (64000.0, 2.0, np.inf),
    # bfloat16 reaches as far as float32, so its short mantissa is probed: 1.0156860 does not fit
    "bfloat16": (1.0078125, 1.0078125, 1.015625),
}
"""Two factors and the product that only the named precision gives."""

Run = Callable[["onnx.ModelProto", Mapping[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]]


def probe_model(precision: str) -> "onnx.ModelProto":
    """A graph in half with a float32 input `x` [1, 1, 1, 1] and outputs `MatMul` and `Conv`."""
    from onnx import TensorProto, helper

    low = TensorProto.FLOAT16 if precision == "float16" else TensorProto.BFLOAT16
    nodes = [helper.make_node("Cast", ["x"], ["low"], name="lower", to=low)]
    for kind in ("MatMul", "Conv"):
        nodes.append(helper.make_node(kind, ["low", "factor"], [f"{kind}/low"], name=kind))
        nodes.append(
            helper.make_node(
                "Cast", [f"{kind}/low"], [kind], name=f"{kind}/up", to=TensorProto.FLOAT
            )
        )
    shape = [1, 1, 1, 1]
    factor = helper.make_tensor("factor", low, shape, [FACTORS[precision][1]])
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(kind, TensorProto.FLOAT, shape)
            for kind in ("MatMul", "Conv")
        ],
        [factor],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def effective_precision(precision: str, *, emulated: bool, run: Run) -> str:
    """What to call what a runtime computes of a graph in `precision`.

    Args:
        precision: "float16" or "bfloat16", the type in the graph.
        emulated: whether the engine's graph was passed through `emulate`; the probe's is then too.
        run: loads a graph as the engine is loaded, and runs it once.

    Returns:
        "float16" or "bfloat16"; "fp16 (emulated)" or "bf16 (emulated)"; "effective float32" where
        the rounding is lost, with the operator where only one of them loses it.
    """
    from engines.emulation import emulate

    model = probe_model(precision)
    factor, _, expected = FACTORS[precision]
    outputs = run(
        emulate(model) if emulated else model, {"x": np.full((1, 1, 1, 1), factor, np.float32)}
    )
    lost = [kind for kind, value in sorted(outputs.items()) if value.item() != expected]
    if lost:
        return "effective float32" + ("" if len(lost) == len(outputs) else f" in {lost[0]}")
    return f"{SHORT_NAMES[precision]} (emulated)" if emulated else precision
