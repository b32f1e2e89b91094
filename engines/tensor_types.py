"""Types and shapes of every tensor of an ONNX graph."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.errors import ContractError

if TYPE_CHECKING:
    import onnx

SMALL = 1024
"""Constants up to this many elements are kept for shape inference: they may be shapes."""


@dataclass(frozen=True)
class TensorType:
    """What shape inference knows of a tensor."""

    dtype: int
    """`onnx.TensorProto` element type."""
    shape: tuple[int | None, ...]
    """None where a size is open."""

    @property
    def size(self) -> int:
        """Number of elements; a ContractError where a size is open."""
        sizes = [axis for axis in self.shape if axis is not None]
        if len(sizes) < len(self.shape):
            raise ContractError(f"shape {self.shape} came; expected no open size; export anew")
        return math.prod(sizes)


def tensor_types(model: "onnx.ModelProto", batch: int | None = None) -> dict[str, TensorType]:
    """Type of every tensor by name; with `batch`, open sizes of the inputs get this value.

    Raises:
        ContractError: the graph has functions or subgraphs, or a tensor whose type is unknown.
    """
    import onnx

    refuse_nesting(model)
    skeleton = _without_weights(model)
    for value in skeleton.graph.input:
        for axis in value.type.tensor_type.shape.dim:
            if batch is not None and not axis.HasField("dim_value"):
                axis.dim_value = batch
    if batch is not None:
        for value in skeleton.graph.output:  # its open sizes are inferred anew
            value.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise ContractError(f"shape inference failed: {' '.join(str(error).split())}") from None
    types = {
        value.name: TensorType(
            value.type.tensor_type.elem_type,
            tuple(
                axis.dim_value if axis.HasField("dim_value") else None
                for axis in value.type.tensor_type.shape.dim
            ),
        )
        for value in [*graph.input, *graph.value_info, *graph.output]
    }
    for tensor in graph.initializer:
        types[tensor.name] = TensorType(tensor.data_type, tuple(tensor.dims))
    for node in graph.node:
        for name in filter(None, node.output):
            if name not in types or not types[name].dtype:
                raise ContractError(
                    f"node {node.name} ({node.op_type}): the type of {name} is unknown; "
                    "expected standard ONNX operators; export anew"
                )
    return types


def refuse_nesting(model: "onnx.ModelProto") -> None:
    """Refuse what hides tensors from a walk over the graph's nodes."""
    nested = [f"function {function.name}" for function in model.functions]
    nested += [f"sparse constant {item.values.name}" for item in model.graph.sparse_initializer]
    for node in model.graph.node:
        if any(item.HasField("g") or item.graphs for item in node.attribute):
            nested.append(f"subgraph of {node.name} ({node.op_type})")
    if nested:
        raise ContractError(f"the graph holds {', '.join(nested)}; expected a flat graph")


def _without_weights(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The graph with large constants turned into inputs: shape inference then copies no weights."""
    import onnx

    graph = onnx.GraphProto(name=model.graph.name)
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    given = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= SMALL:
            graph.initializer.append(tensor)
        elif tensor.name not in given:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=max(model.ir_version, 4)
    )
