"""A recipe applied to the float32 graph: Casts at the borders, constants as they are used."""

import ml_dtypes
import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from engines.errors import UserError
from export.modules import module_of
from export.qamem import as_convolutions, as_products
from export.recipes import Precision, Recipe

TYPES: dict[Precision, ir.DataType] = {
    "float32": ir.DataType.FLOAT,
    "float16": ir.DataType.FLOAT16,
    "bfloat16": ir.DataType.BFLOAT16,
}


WEIGHT = 1
"""Which input of a convolution it is."""
WITHOUT_BFLOAT16 = ("Conv", "MaxPool")
"""Operators that take no bfloat16 up to opset 21. TensorRT's parser takes it all the same, but the
full check of ONNX and ONNX Runtime refuse such a graph. So these compute in float32 between values
rounded to bfloat16, with rounded weights: the arithmetic of a bfloat16 unit, if not its speed."""


def lower(model: ir.Model, recipe: Recipe) -> ir.Model:
    """A copy of a float32 graph, typed and with QAMem in the form that the recipe says.

    Inputs and outputs keep their types.

    Raises:
        UserError: a constant does not fit into the lower type.
    """
    lowered = model.clone()
    (as_convolutions if recipe.qamem == "conv" else as_products)(lowered)
    border = _Border(lowered.graph, recipe)
    for node in list(lowered.graph):
        if node.op_type == "Cast":  # its output's type is its own business
            continue
        wanted = recipe.type_of(module_of(node))
        if wanted == "bfloat16" and node.op_type in WITHOUT_BFLOAT16:
            wanted = "float32"
            for index in range(1 + WEIGHT if node.op_type == "Conv" else 1):
                value = node.inputs[index]
                assert value is not None
                node.replace_input_with(index, border.rounded(value, node))
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in TYPES.values():
                node.replace_input_with(index, border.crossed(value, wanted, node))
        for value in node.outputs:
            if value.dtype in TYPES.values():
                # a new type: the copy's values share theirs with the original's
                value.type = ir.TensorType(TYPES[wanted])
    border.restore_outputs()
    passes.RemoveUnusedNodesPass()(lowered)
    border.restore_names()
    return lowered


class _Border:
    """Values as they are needed on the other side; each is converted once a type."""

    def __init__(self, graph: ir.Graph, recipe: Recipe) -> None:
        self.graph = graph
        self.recipe = recipe
        self.converted: dict[tuple[str | None, str], ir.Value] = {}

    def crossed(self, value: ir.Value, wanted: Precision, consumer: ir.Node) -> ir.Value:
        """The value in the wanted type, for a node."""
        if value.dtype == TYPES[wanted]:
            return value
        key = (value.name, wanted)
        if key not in self.converted:
            if value.is_initializer():
                self.converted[key] = self._constant(value, wanted, wanted)
            else:
                cast = _cast(value, wanted, f"{value.name}:{wanted}")
                self.graph.insert_before(consumer, cast)
                self.converted[key] = cast.outputs[0]
        return self.converted[key]

    def rounded(self, value: ir.Value, consumer: ir.Node) -> ir.Value:
        """The value rounded to bfloat16; a constant is kept in float32."""
        if not value.is_initializer():
            return self.crossed(value, "bfloat16", consumer)
        key = (value.name, "rounded")
        if key not in self.converted:
            self.converted[key] = self._constant(value, "bfloat16", "float32")
        return self.converted[key]

    def _constant(self, value: ir.Value, rounded: Precision, stored: Precision) -> ir.Value:
        assert value.const_value is not None
        numbers = value.const_value.numpy()
        with np.errstate(over="ignore"):  # looked at below
            kept = numbers.astype(_numpy_type(rounded)).astype(_numpy_type(stored))
        if not np.isfinite(kept.astype(np.float32)).all():
            raise UserError(
                f"recipe {self.recipe.name}: {value.name} reaches {np.abs(numbers).max():.3g}, "
                f"beyond {rounded}; expected weights that fit; keep that module in float32"
            )
        name = f"{value.name}:{rounded}"
        constant = ir.Value(
            name=name,
            shape=value.shape,
            type=ir.TensorType(TYPES[stored]),
            const_value=ir.tensor(kept, name=name),
        )
        self.graph.register_initializer(constant)
        return constant

    def restore_outputs(self) -> None:
        """Cast the graph's outputs back to float32 where a recipe lowered their module."""
        for index, value in enumerate(self.graph.outputs):
            if value.dtype in (TYPES["float16"], TYPES["bfloat16"]):
                name, value.name = value.name, f"{value.name}:low"
                cast = _cast(value, "float32", f"{name}:float32")
                cast.outputs[0].name = name
                self.graph.append(cast)
                self.graph.outputs[index] = cast.outputs[0]

    def restore_names(self) -> None:
        """Give a converted constant its own name back where no float32 copy is left."""
        for (name, _), value in self.converted.items():
            if value.is_initializer() and name and name not in self.graph.initializers:
                value.name = name


def _cast(value: ir.Value, wanted: Precision, name: str) -> ir.Node:
    return ir.node(
        "Cast",
        [value],
        {"to": TYPES[wanted]},
        outputs=[ir.Value(name=name, shape=value.shape, type=ir.TensorType(TYPES[wanted]))],
        name=name,
    )


def _numpy_type(precision: Precision) -> np.dtype[np.generic]:
    return np.dtype(ml_dtypes.bfloat16 if precision == "bfloat16" else precision)
