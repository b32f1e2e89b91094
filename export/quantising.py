"""Integers in the graph: the convolutions of a recipe's `quantised` modules take int8.

Quantisation is explicit: a QuantizeLinear and a DequantizeLinear round a value to 255 steps around
zero and give it back in float32; a product whose factors both come so is one of integers for every
runtime. It is symmetric, with the zero point 0: TensorRT takes nothing else, and reads uint8 as
int8 without a word (TensorRT-RTX 1.7). Weights have a scale for each output channel, values one.

What stays in float32 decides the accuracy: the sums of a residual network, which hand the rounding
of one block on to all that follow, and the shortcuts into them. Rounding these too cost a trained
network three times the movement (docs/throughput.md, int8-backbone).
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from engines.errors import UserError
from export.auditing import largest_magnitudes
from export.modules import module_of
from export.recipes import Recipe

STEPS = 127
"""The largest integer: -128 has no counterpart above zero."""
CALIBRATION_IMAGES = 64
"""The first ones of the reference, or all where it has fewer."""
DIGITS = 3
"""Of a range: processors sum in other orders, and the last bits shall not reach the file's hash."""
SOURCE, WEIGHT = 0, 1
"""Inputs of a convolution."""


def calibrate(
    model: ir.Model, recipe: Recipe, images: NDArray[np.uint8], batch: int | None
) -> dict[str, float]:
    """Largest absolute value, over the images, of everything that the recipe rounds to int8.

    A narrower range (99.99 or 99.999 % of the values, least squared error) was tried and moves rare
    heads further: a clipped value is far off where a rounded one is half a step off.

    Args:
        model: a float32 graph, named by module.
        recipe: whose `quantised` modules are meant.
        images: [n, S, S, 3] uint8 RGB.
        batch: of the graph; None where it is open.
    """
    names = [str(value.name) for value in _rounded_values(model, _products(model, recipe))]
    return largest_magnitudes(model, names, images, batch)


def quantise(model: ir.Model, recipe: Recipe, largest: Mapping[str, float]) -> None:
    """Round what the recipe wants rounded, in place; names of nodes and values stay.

    Args:
        model: a graph whose `quantised` modules are in float32.
        recipe: any with `quantised` modules.
        largest: what `calibrate` gave.
    """
    products = _products(model, recipe)
    for value in _rounded_values(model, products):
        _round_value(model.graph, value, largest[str(value.name)], products)
    for node in products:
        _round_weight(model.graph, node)


def _products(model: ir.Model, recipe: Recipe) -> list[ir.Node]:
    """The convolutions that take integers; a UserError where there is none."""
    found = [
        node
        for node in model.graph
        if node.op_type == "Conv" and recipe.in_integers(module_of(node))
    ]
    if not found:
        raise UserError(
            f"recipe {recipe.name}: no convolution lies in {', '.join(recipe.quantised)} less "
            f"{', '.join(recipe.kept) or 'nothing'}; expected some to take int8; mend these"
        )
    return found


def _rounded_values(model: ir.Model, products: list[ir.Node]) -> list[ir.Value]:
    """What the products read, and what they give where no product alone reads that after a ReLU:
    ONNX Runtime computes a convolution in integers only where its result is rounded as well."""
    values: dict[ir.Value, None] = {}
    for node in products:
        source, result = node.inputs[SOURCE], node.outputs[0]
        assert source is not None
        values[source] = None
        if not _read_by_products_alone(result, products):
            values[result] = None
    order = [value for node in model.graph for value in node.outputs]
    return [value for value in order if value in values]


def _read_by_products_alone(value: ir.Value, products: list[ir.Node]) -> bool:
    users = value.consumers()
    if len(users) == 1 and users[0].op_type == "Relu":
        users = users[0].outputs[0].consumers()
    return bool(users) and all(user in products for user in users)


def _round_value(graph: ir.Graph, value: ir.Value, largest: float, products: list[ir.Node]) -> None:
    """Put the pair behind a value. Products read it rounded; others do too where a product made it,
    and else as it is."""
    producer = value.producer()
    assert producer is not None, "what a module reads was made by one"
    users = [user for user in value.consumers() if user in products or producer in products]
    scale = np.array((float(f"{largest:.{DIGITS}g}") or 1.0) / STEPS, np.float32)
    constants = [
        _constant(graph, f"{value.name}:scale", scale),
        _constant(graph, f"{value.name}:zero", np.array(0, np.int8)),
    ]
    integers = _node("QuantizeLinear", [value, *constants], value, ir.DataType.INT8)
    rounded = _node("DequantizeLinear", [integers.outputs[0], *constants], value, ir.DataType.FLOAT)
    graph.insert_after(producer, [integers, rounded])
    for user in users:
        for index, read in enumerate(user.inputs):
            if read is value:
                user.replace_input_with(index, rounded.outputs[0])


def _round_weight(graph: ir.Graph, node: ir.Node) -> None:
    """Store a convolution's weight in int8, each output channel with its own scale."""
    value = node.inputs[WEIGHT]
    assert value is not None and value.const_value is not None
    weight = value.const_value.numpy()  # [out, in / groups, *kernel]
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)))
    scale = (np.where(largest > 0, largest, 1) / STEPS).astype(np.float32)
    steps = np.round(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    name = str(value.name)
    constants = [
        _constant(graph, f"{name}:int8", np.clip(steps, -STEPS, STEPS).astype(np.int8)),
        _constant(graph, f"{name}:scale", scale),
        _constant(graph, f"{name}:zero", np.zeros(len(scale), np.int8)),
    ]
    dequantised = ir.node(
        "DequantizeLinear",
        constants,
        {"axis": 0},
        outputs=[_float_value(f"{name}:rounded", value.shape)],
        name=f"{module_of(node)}/weight:DequantizeLinear",
    )
    graph.insert_before(node, dequantised)
    node.replace_input_with(WEIGHT, dequantised.outputs[0])
    if not value.uses():
        graph.initializers.pop(name)


def _node(kind: str, inputs: list[ir.Value], value: ir.Value, dtype: ir.DataType) -> ir.Node:
    """A node of the module that made the value, with the value's shape."""
    name = f"{value.name}:{kind}"
    output = ir.Value(name=name, shape=value.shape, type=ir.TensorType(dtype))
    return ir.node(kind, inputs, outputs=[output], name=name)


def _float_value(name: str, shape: ir.Shape | None) -> ir.Value:
    return ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.FLOAT))


def _constant(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        const_value=ir.tensor(array, name=name),
    )
    graph.register_initializer(value)
    return value
