"""Half precision where there are no half kernels: a float32 graph that rounds like the half one.

ONNX Runtime's CPU computes a half graph in float32 and drops the rounding. Here every half tensor
becomes a float32 tensor whose values were rounded by a pair of Casts, float32 -> half -> float32,
which survives every optimisation level. Products accumulate in float32, as tensor cores do. The
nodes keep their names and order; only Casts are added. bfloat16 is emulated alike.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import ContractError
from engines.tensor_types import TensorType, tensor_types

if TYPE_CHECKING:
    import onnx

HALF, FLOAT, BFLOAT = 10, 1, 16
"""FLOAT16, FLOAT and BFLOAT16 of `onnx.TensorProto`."""
LOW = (HALF, BFLOAT)

# fmt: off
EXACT = frozenset((
    "Abs", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Expand", "Flatten", "Gather",
    "GatherElements", "GatherND", "Identity", "Max", "MaxPool", "Min", "Neg", "Pad", "Relu",
    "Reshape", "Sign", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
    "Unsqueeze", "Where",
))
# fmt: on
"""Operators whose half outputs hold values of their half inputs: nothing is left to round."""


def emulate(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The float32 graph that rounds as a half or bfloat16 graph does.

    Args:
        model: a flat graph whose inputs and outputs are not in half.

    Raises:
        ContractError: half inputs or outputs, subgraphs, functions, or a tensor of unknown type.
    """
    import onnx

    types = tensor_types(model)
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.elem_type in LOW:
            raise ContractError(
                f"{value.name} of the graph is in half; expected half only inside; export anew"
            )
    emulated = onnx.ModelProto()
    emulated.CopyFrom(model)
    graph = emulated.graph
    del graph.value_info[:]  # it names the old types; runtimes infer their own
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    nodes = [new for node in graph.node for new in _rounded(node, types)]
    del graph.node[:]
    graph.node.extend(nodes)
    return emulated


def _rounded(node: "onnx.NodeProto", types: dict[str, TensorType]) -> "Iterator[onnx.NodeProto]":
    """The node in float32, then the Casts that round its outputs."""
    if node.op_type in ("Cast", "CastLike"):
        yield from _cast(node, types)
        return
    for attribute in node.attribute:
        if attribute.HasField("t"):
            _widen_tensor(attribute.t)
        for tensor in attribute.tensors:
            _widen_tensor(tensor)
        if attribute.name == "dtype" and attribute.i in LOW:
            attribute.i = FLOAT
    low = {
        name: types[name].dtype
        for name in node.output
        if name and types[name].dtype in LOW and node.op_type not in EXACT
    }
    for index, name in enumerate(node.output):
        if name in low:
            node.output[index] = f"{name}/wide"
    yield node
    for name, dtype in low.items():
        yield _make_cast(f"{name}/wide", f"{name}/low", dtype)
        yield _make_cast(f"{name}/low", name, FLOAT)


def _cast(node: "onnx.NodeProto", types: dict[str, TensorType]) -> "Iterator[onnx.NodeProto]":
    """A Cast to half rounds and comes back; one between equal values is an Identity."""
    source, target = types[node.input[0]].dtype, types[node.output[0]].dtype
    name = node.output[0]
    del node.input[1:]  # CastLike's second input only named the type
    del node.attribute[:]
    if target in LOW and source != target:
        node.CopyFrom(_make_cast(node.input[0], f"{name}/low", target, node.name))
        yield node
        yield _make_cast(f"{name}/low", name, FLOAT)
    elif target == source or (target == FLOAT and source in LOW):
        node.op_type = "Identity"
        yield node
    else:
        node.CopyFrom(_make_cast(node.input[0], name, target, node.name))
        yield node


def _make_cast(source: str, target: str, dtype: int, name: str | None = None) -> "onnx.NodeProto":
    import onnx

    return onnx.helper.make_node(
        "Cast", [source], [target], name=name or f"{target}/cast", to=dtype
    )


def _widen_tensor(tensor: "onnx.TensorProto") -> None:
    """Turn a half constant into float32, which holds its values exactly."""
    import onnx

    if tensor.data_type in LOW:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
