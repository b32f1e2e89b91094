"""FLOPs of products, the share of them in half, and what is said of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import BuildError, ContractError
from engines.precision import (
    Effective,
    Product,
    check_promise,
    dtype_name,
    low_share,
    onnx_products,
)
from engines.tensor_types import TensorType, tensor_types


def model_of(
    node: onnx.NodeProto,
    inputs: dict[str, list[Any]],
    constants: dict[str, tuple[int, ...]],
    low: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    dtype = np.float16 if low == TensorProto.FLOAT16 else np.float32
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, low, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", low, None)],
        [numpy_helper.from_array(np.ones(shape, dtype), n) for n, shape in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(
    ("kind", "attributes", "left", "right", "expected"),
    [
        # out [1, 8, 6, 6], 3 * 3 * 3 multiply-adds each
        ("Conv", {}, [1, 3, 8, 8], (8, 3, 3, 3), 2 * 8 * 36 * 27),
        # stride 2, padding 1: out [1, 8, 4, 4]
        ("Conv", {"strides": [2, 2], "pads": [1] * 4}, [1, 3, 8, 8], (8, 3, 3, 3), 2 * 8 * 16 * 27),
        # 4 groups: each output sees 2 of 8 channels
        ("Conv", {"group": 4}, [1, 8, 5, 5], (12, 2, 1, 1), 2 * 12 * 25 * 2),
        ("Conv", {"group": 6}, [2, 6, 5], (6, 1, 3), 2 * 2 * 6 * 3 * 3),
        ("MatMul", {}, [5, 7], (7, 11), 2 * 5 * 7 * 11),
        ("MatMul", {}, [3, 1, 5, 7], (2, 7, 11), 2 * 3 * 2 * 5 * 7 * 11),
        ("MatMul", {}, [5, 7], (7,), 2 * 5 * 7),
        ("Gemm", {}, [5, 7], (7, 11), 2 * 5 * 7 * 11),
        ("Gemm", {"transA": 1, "transB": 1}, [7, 5], (11, 7), 2 * 5 * 7 * 11),
    ],
)
def test_flops_of_one_product(
    kind: str, attributes: dict[str, Any], left: list[int], right: tuple[int, ...], expected: int
) -> None:
    node = helper.make_node(kind, ["x", "w"], ["y"], name="product", **attributes)
    (product,) = onnx_products(model_of(node, {"x": left}, {"w": right}))
    assert product == Product(name="product", dtype="float32", flops=expected)


def test_an_open_batch_is_counted_at_the_size_asked_for() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    model = model_of(node, {"x": ["batch", 5, 7]}, {"w": (7, 11)})
    assert [onnx_products(model, batch)[0].flops for batch in (1, 3)] == [770, 2310]


def test_share_of_the_tiny_graph(make_graph: Callable[..., onnx.ModelProto]) -> None:
    half = onnx_products(make_graph(half=True, batch=None))
    flops = {product.name: product.flops for product in half}
    assert flops == {
        "features_node": 2 * 8 * 16 * 48,
        "hidden_node": 2 * 8 * 32,
        "head_low_node": 2 * 32 * 136,
        "params_node": 2 * 32 * 413,
        "turn_node": 2 * 32 * 9,
    }
    low = sum(value for name, value in flops.items() if name not in ("params_node", "turn_node"))
    assert low_share(half) == low / sum(flops.values())
    assert low_share(onnx_products(make_graph(half=False, batch=2))) == 0.0
    assert low_share([]) == 0.0


def test_the_share_does_not_depend_on_the_batch(
    make_graph: Callable[..., onnx.ModelProto],
) -> None:
    shares = {
        low_share(onnx_products(make_graph(half=True, batch=batch))) for batch in (None, 1, 5)
    }
    assert len(shares) == 1


def test_weights_are_not_needed_for_types_but_shapes_are(
    make_graph: Callable[..., onnx.ModelProto],
) -> None:
    model = make_graph(half=True, batch=None)
    types = tensor_types(model, 3)
    assert types["landmarks"] == TensorType(TensorProto.FLOAT, (3, 68, 2))
    assert types["features"] == TensorType(TensorProto.FLOAT16, (3, 8, 4, 4))
    assert types["head"] == TensorType(TensorProto.FLOAT16, (32, 136))
    assert tensor_types(model)["image"].shape == (None, 16, 16, 3)
    with pytest.raises(ContractError, match="no open size"):
        _ = tensor_types(model)["image"].size


def test_what_hides_tensors_is_refused(make_graph: Callable[..., onnx.ModelProto]) -> None:
    branch = helper.make_graph([], "branch", [], [])
    model = make_graph(half=True, batch=1)
    model.graph.node.append(
        helper.make_node("If", ["c"], ["z"], name="choice", then_branch=branch, else_branch=branch)
    )
    with pytest.raises(ContractError, match=r"subgraph of choice \(If\).*expected a flat graph"):
        onnx_products(model)
    model = make_graph(half=True, batch=1)
    model.functions.append(
        helper.make_function("mine", "F", ["a"], ["b"], [], [helper.make_opsetid("", 18)])
    )
    with pytest.raises(ContractError, match="function F"):
        onnx_products(model)


def test_an_unknown_operator_is_named(make_graph: Callable[..., onnx.ModelProto]) -> None:
    model = make_graph(half=True, batch=1)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.graph.node.append(
        helper.make_node("Odd", ["normed"], ["odd"], name="odd_node", domain="mine")
    )
    with pytest.raises(ContractError, match=r"node odd_node \(Odd\): the type of odd is unknown"):
        onnx_products(model)


def test_half_in_a_recipe_without_it_is_an_error() -> None:
    check_promise(0.0, 0.0, "the graph")
    with pytest.raises(BuildError, match=r"93.0% of its FLOPs in half; the recipe promises 0.0%"):
        check_promise(0.93, 0.0, "the graph")


def test_less_than_promised_is_an_error() -> None:
    check_promise(0.970, 0.972, "the graph")
    with pytest.raises(BuildError, match=r"50.0% of its FLOPs in half; the recipe promises 97.0%"):
        check_promise(0.5, 0.97, "the graph")


@pytest.mark.parametrize(
    ("precision", "promised", "found", "line"),
    [
        ("float32", 0.0, 0.0, "float32"),
        ("fp16 (emulated)", 0.97, 0.97, "fp16 (emulated): 97 % of the FLOPs in half"),
        (
            "effective float32",
            0.97,
            0.0,
            "effective float32: 0 % of the FLOPs in half, promised 97 %",
        ),
    ],
)
def test_the_line_for_people(precision: str, promised: float, found: float, line: str) -> None:
    effective = Effective(precision=precision, low_flops_promised=promised, low_flops_found=found)
    assert effective.line() == line


def test_names_of_types() -> None:
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.UINT8)
    assert [dtype_name(kind) for kind in kinds] == ["float32", "float16", "bfloat16", "uint8"]
