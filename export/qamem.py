"""Query-aware memory in its other form: same weights, same answers; runtimes differ in speed.

It is traced as a batched product (`layers.QAMemProduct`). Here the traced graph is rewritten to the
paper's form, a 1x1 convolution with a group for each query.

Letters: B batch, N queries, d hidden width, h heads, e = d/h.
"""

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from export.graph import module_of

MODULE = "qamem"
"""Last part of the path of every module this is about."""


def as_convolutions(model: ir.Model) -> None:
    """Rewrite every query-aware memory of a float32 graph, in place."""
    regions: dict[str, list[ir.Node]] = defaultdict(list)
    for node in model.graph:
        if module_of(node).rpartition(".")[2] == MODULE:
            regions[module_of(node)].append(node)
    for module, nodes in regions.items():
        _replace(model.graph, module, nodes)


def _replace(graph: ir.Graph, module: str, nodes: list[ir.Node]) -> None:
    inside = set(nodes)
    (entry,) = {
        value
        for node in nodes
        for value in node.inputs
        if value is not None and not value.is_initializer() and value.producer() not in inside
    }
    (leaving,) = {
        value
        for node in nodes
        for value in node.outputs
        if any(user not in inside for user in value.consumers())
    }
    weight = _constant_of(nodes, "MatMul")
    assert weight is not None, "a product with the transforms"
    queries, width, _ = weight.shape  # [N, d, d]
    assert entry.shape is not None and entry.shape[2] == queries  # [B, h, N, e]
    channels = queries * width
    kernel = weight.transpose(0, 2, 1).reshape(channels, width, 1, 1)
    bias = _constant_of(nodes, "Add")
    if bias is None:  # an optimiser drops a sum with zeros
        bias = np.zeros((queries, width), weight.dtype)

    def constant(name: str, array: np.ndarray) -> ir.Value:
        value = ir.Value(
            name=f"{module}.{name}",
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(array, name=f"{module}.{name}"),
        )
        graph.register_initializer(value)
        return value

    def step(kind: str, *inputs: ir.Value, number: str = "", **attributes: object) -> ir.Value:
        name = f"{module}/{kind}{number}"
        output = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
        node = ir.node(kind, inputs, attributes, outputs=[output], name=name)  # type: ignore[arg-type]
        graph.insert_before(nodes[0], node)
        return output

    rows = step("Transpose", entry, perm=[0, 2, 1, 3])  # [B, N, h, e]
    to_channels = constant("to_channels", np.array([-1, channels, 1, 1], np.int64))
    x = step("Reshape", rows, to_channels)  # [B, N*d, 1, 1]
    biases = constant("conv_bias", bias.reshape(-1))
    x = step("Conv", x, constant("kernel", kernel), biases, group=queries)
    # [B*N, d], or [B, N, d] where the optimiser merged this reshaping with the next
    assert leaving.shape is not None
    to_rows = constant("to_rows", np.array([-1, *leaving.shape[1:]], np.int64))
    result = step("Reshape", x, to_rows, number="_2")
    result.shape = leaving.shape
    leaving.replace_all_uses_with(result)
    graph.remove(nodes, safe=True)


def _constant_of(nodes: list[ir.Node], kind: str) -> np.ndarray | None:
    """The constant input of the only node of a kind; not by name, since equal ones are shared."""
    found = [
        value.const_value.numpy()
        for node in nodes
        if node.op_type == kind
        for value in node.inputs
        if value is not None and value.const_value is not None
    ]
    assert len(found) <= 1
    return found[0] if found else None
