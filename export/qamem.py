"""Query-aware memory in its other form: same weights, same answers; runtimes differ in speed.

It is traced as a batched product (`layers.QAMemProduct`). The paper's form is a 1x1 convolution
with a group for each query. A float32 graph is rewritten from either to the other: a bundle's
graph, which may have been given either, can so be taken for the traced one.

Letters: B batch, N queries, d hidden width, h heads, e = d/h.
"""

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from export.modules import module_of

MODULE = "qamem"
"""Last part of the path of every module this is about."""


def as_convolutions(model: ir.Model) -> None:
    """Rewrite every query-aware memory of a float32 graph to convolutions, in place."""
    for region in _regions(model.graph):
        if region.holds("MatMul"):
            _to_convolution(region)


def as_products(model: ir.Model) -> None:
    """Rewrite every query-aware memory of a float32 graph to products, as traced, in place."""
    for region in _regions(model.graph):
        if region.holds("Conv"):
            _to_product(region)


class _Region:
    """The nodes of one query-aware memory."""

    def __init__(self, graph: ir.Graph, module: str, nodes: list[ir.Node]) -> None:
        self.graph, self.module, self.nodes = graph, module, nodes
        inside = set(nodes)
        (self.entry,) = {
            value
            for node in nodes
            for value in node.inputs
            if value is not None and not value.is_initializer() and value.producer() not in inside
        }
        """[B, h, N, e]."""
        (self.leaving,) = {
            value
            for node in nodes
            for value in node.outputs
            if any(user not in inside for user in value.consumers())
        }
        """[B*N, d], or [B, N, d] where the optimiser merged this reshaping with the next."""
        assert self.leaving.shape is not None
        self.shape = self.leaving.shape

    def holds(self, kind: str) -> bool:
        return any(node.op_type == kind for node in self.nodes)

    def constant_of(self, kind: str, place: int | None = None) -> np.ndarray | None:
        """The constant input of the only node of a kind; not by name, since equal ones are shared.

        With `place`, the one in that place.
        """
        found = [
            value.const_value.numpy()
            for node in self.nodes
            if node.op_type == kind
            for value in (node.inputs if place is None else node.inputs[place : place + 1])
            if value is not None and value.const_value is not None
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def constant(self, name: str, array: np.ndarray) -> ir.Value:
        """A new constant of the module."""
        value = ir.Value(
            name=f"{self.module}.{name}",
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(array, name=f"{self.module}.{name}"),
        )
        self.graph.register_initializer(value)
        return value

    def step(
        self, kind: str, *inputs: ir.Value, number: str = "", **attributes: object
    ) -> ir.Value:
        """The result of a new node of the module."""
        name = f"{self.module}/{kind}{number}"
        output = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
        node = ir.node(kind, inputs, attributes, outputs=[output], name=name)  # type: ignore[arg-type]
        self.graph.insert_before(self.nodes[0], node)
        return output

    def replace_by(self, result: ir.Value) -> None:
        """Have what follows read `result`; drop the nodes of before."""
        result.shape = self.shape
        self.leaving.replace_all_uses_with(result)
        self.graph.remove(self.nodes, safe=True)


def _regions(graph: ir.Graph) -> list[_Region]:
    nodes: dict[str, list[ir.Node]] = defaultdict(list)
    for node in graph:
        if module_of(node).rpartition(".")[2] == MODULE:
            nodes[module_of(node)].append(node)
    return [_Region(graph, module, members) for module, members in nodes.items()]


def _to_convolution(region: _Region) -> None:
    weight = region.constant_of("MatMul")
    assert weight is not None, "a product with the transforms"
    queries, width, _ = weight.shape  # [N, d, d]
    assert region.entry.shape is not None and region.entry.shape[2] == queries
    channels = queries * width
    kernel = weight.transpose(0, 2, 1).reshape(channels, width, 1, 1)
    bias = region.constant_of("Add")
    if bias is None:  # an optimiser drops a sum with zeros
        bias = np.zeros((queries, width), weight.dtype)
    rows = region.step("Transpose", region.entry, perm=[0, 2, 1, 3])  # [B, N, h, e]
    to_channels = region.constant("to_channels", np.array([-1, channels, 1, 1], np.int64))
    x = region.step("Reshape", rows, to_channels)  # [B, N*d, 1, 1]
    biases = region.constant("conv_bias", bias.reshape(-1))
    x = region.step("Conv", x, region.constant("kernel", kernel), biases, group=queries)
    to_rows = region.constant("to_rows", np.array([-1, *region.shape[1:]], np.int64))
    region.replace_by(region.step("Reshape", x, to_rows, number="_2"))


def _to_product(region: _Region) -> None:
    kernel, bias = region.constant_of("Conv", 1), region.constant_of("Conv", 2)
    assert kernel is not None and bias is not None, "a convolution with the transforms"
    channels, width = kernel.shape[:2]  # [N*d, d, 1, 1]
    queries = channels // width
    weight = kernel.reshape(queries, width, width).transpose(0, 2, 1)  # [N, d, d]
    rows = region.step("Transpose", region.entry, perm=[2, 0, 1, 3])  # [N, B, h, e]
    to_queries = region.constant("to_queries", np.array([queries, -1, width], np.int64))
    x = region.step("Reshape", rows, to_queries)  # [N, B, d]
    x = region.step("MatMul", x, region.constant("weight", np.ascontiguousarray(weight)))
    x = region.step("Transpose", x, number="_2", perm=[1, 0, 2])
    x = region.step("Add", x, region.constant("bias", bias.reshape(queries, width)))  # [B, N, d]
    if len(region.shape) == 2:
        to_tokens = region.constant("to_tokens", np.array([-1, width], np.int64))
        x = region.step("Reshape", x, to_tokens, number="_2")  # [B*N, d]
    region.replace_by(x)
