"""Effective precision: which share of the products is computed in half, and what to call it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.errors import BuildError, ContractError
from engines.tensor_types import TensorType, tensor_types

if TYPE_CHECKING:
    import onnx

PRODUCTS = ("Conv", "MatMul", "Gemm")
DEQUANTIZE = "DequantizeLinear"
"""A graph with this operator is a quantised one."""
LOW = ("float16", "bfloat16", "int8")
"""What counts as low precision in a recipe's promise."""
SHARE_TOLERANCE = 0.005
"""By how much a share may miss the recipe's promise: a runtime may fold small products away."""

SHORT_NAMES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True, kw_only=True)
class Effective:
    """What an engine really computes."""

    precision: str
    """"float32", "float16", "bfloat16"; "int8 and" one of these; "fp16 (emulated)"; "effective
    float32" where half was asked for and the runtime computes in float32 without rounding."""
    low_flops_promised: float
    """The recipe's share of FLOPs in half, bfloat16 or int8; 1 where the runtime states that it
    lowers the whole graph (OpenVINO's bfloat16)."""
    low_flops_found: float
    """The share this engine computes (or rounds) so."""

    def line(self) -> str:
        """One line for people."""
        if self.low_flops_promised == 0:
            return self.precision
        kind = "int8" if self.precision.startswith("int8") else "half"
        line = f"{self.precision}: {100 * self.low_flops_found:.0f} % of the FLOPs in {kind}"
        if self.low_flops_found:
            return line
        return f"{line}, promised {100 * self.low_flops_promised:.0f} %"


@dataclass(frozen=True, kw_only=True)
class Product:
    """One convolution or matrix product of a network."""

    name: str
    dtype: str
    """numpy's name of the output's type; int8 where both factors were dequantised just before,
    for that is how a graph asks for a product of integers."""
    flops: int
    """A multiply-add counts as 2."""


def onnx_products(model: "onnx.ModelProto", batch: int = 1) -> list[Product]:
    """Every Conv, MatMul and Gemm of a graph, with its FLOPs at a batch size."""
    types = tensor_types(model, batch)
    integers = {node.output[0] for node in model.graph.node if node.op_type == DEQUANTIZE}
    products = []
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            inputs = [types[name] for name in node.input[:2]]
            output = types[node.output[0]]
            found = dtype_name(output.dtype)
            products.append(
                Product(
                    name=node.name,
                    dtype="int8" if integers.issuperset(node.input[:2]) else found,
                    flops=2 * output.size * _reduced(node, *inputs),
                )
            )
    return products


def dtype_name(dtype: int) -> str:
    """numpy's name of an ONNX element type."""
    from onnx import TensorProto

    name = str(TensorProto.DataType.Name(dtype)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _reduced(node: "onnx.NodeProto", left: TensorType, right: TensorType) -> int:
    """Multiply-adds an output element costs."""
    if node.op_type == "Conv":  # weight: [out, in / groups, *kernel]
        return TensorType(right.dtype, right.shape[1:]).size
    transposed = node.op_type == "Gemm" and any(
        item.name == "transA" and item.i for item in node.attribute
    )
    size = left.shape[0 if transposed else -1]
    if size is None:
        raise ContractError(f"node {node.name}: an open size is summed over; export anew")
    return size


def low_share(products: Iterable[Product]) -> float:
    """Share of FLOPs in half, bfloat16 or int8; 0 for a network without products."""
    flops = {True: 0, False: 0}
    for product in products:
        flops[product.dtype in LOW] += product.flops
    return flops[True] / max(1, sum(flops.values()))


def check_promise(found: float, promised: float, source: str, kind: str = "half") -> None:
    """Refuse an engine that computes less in half, or in int8, than its recipe promises.

    One that promises nothing of the kind may compute nothing of the kind.
    """
    if found < promised - SHARE_TOLERANCE or (not promised and found):
        raise BuildError(
            f"{source} computes {found:.1%} of its FLOPs in {kind}; "
            f"the recipe promises {promised:.1%}; export the bundle anew, or build with another "
            "version or runtime"
        )
