"""The emulation rounds where half rounds, at every optimisation level of ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.emulation import BFLOAT, FLOAT, HALF, emulate
from engines.errors import ContractError

LEVELS = [name for name in dir(ort.GraphOptimizationLevel) if name.startswith("ORT_")]


def run(
    model: onnx.ModelProto, level: str = "ORT_ENABLE_ALL", **inputs: np.ndarray
) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def between_casts(
    nodes: list[onnx.NodeProto], shape: list[Any], constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """x float32 -> `low` half -> nodes -> `result` half -> y float32."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["low"], name="lower", to=HALF),
            *nodes,
            helper.make_node("Cast", ["result"], ["y"], name="raise", to=FLOAT),
        ],
        "test",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def node(kind: str, inputs: list[str], output: str = "result", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=kind, **attributes)


def half(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("level", LEVELS)
def test_a_product_past_65504_is_infinite(level: str) -> None:
    two = np.full((1, 1), 2, np.float16)
    model = between_casts([node("MatMul", ["low", "two"])], [1, 1], {"two": two})
    x = np.array([[64000]], np.float32)
    assert run(emulate(model), level, x=x)["y"] == np.inf
    assert run(emulate(model), level, x=x / 4)["y"] == 32000
    assert run(model, level, x=x)["y"] == 128000  # why there is an emulation


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "kind",
    [
        "Conv",
        "MatMul",
        "Gemm",
        "Softmax",
        "LayerNormalization",
        "Add",
        "Mul",
        "Sqrt",
        "Erf",
        "ReduceMean",
        "Sigmoid",
    ],
)
def test_each_operator_rounds_its_inputs_and_its_output(kind: str, level: str) -> None:
    """Against numpy in float64, rounded to half: equal to one unit in the last place."""
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(6, 8)) * 3 + 5).astype(np.float32)
    weight = rng.normal(size=(8, 8)).astype(np.float16)
    kernel = weight[:6].reshape(6, 8, 1, 1)
    constants: dict[str, np.ndarray] = {"weight": weight}
    attributes: dict[str, Any] = {}
    inputs = ["low", "weight"]
    low = half(x).astype(np.float64)
    w = weight.astype(np.float64)
    if kind == "Conv":
        constants = {"weight": kernel}
        x = x.reshape(6, 8, 1, 1)
        expected = np.einsum("bi,oi->bo", low, w[:6]).reshape(6, 6, 1, 1)
    elif kind == "MatMul":
        expected = low @ w
    elif kind == "Gemm":
        attributes, constants = {"transB": 1}, {"weight": weight, "bias": weight[0]}
        inputs = ["low", "weight", "bias"]
        expected = low @ w.T + w[0]
    elif kind == "LayerNormalization":
        constants = {"gain": weight[0], "shift": weight[1]}
        inputs = ["low", "gain", "shift"]
        deviation = low - low.mean(-1, keepdims=True)
        expected = deviation / np.sqrt((deviation**2).mean(-1, keepdims=True) + 1e-5) * w[0] + w[1]
    elif kind in ("Add", "Mul"):
        constants = {"weight": weight[:6]}
        expected = low + w[:6] if kind == "Add" else low * w[:6]
    else:
        inputs, constants = ["low"], {}
        exponent = np.exp(low - low.max(-1, keepdims=True))
        expected = {
            "Softmax": exponent / exponent.sum(-1, keepdims=True),
            "Sqrt": np.sqrt(low),
            "Erf": np.vectorize(__import__("math").erf)(low),
            "ReduceMean": low.mean(keepdims=True),
            "Sigmoid": 1 / (1 + np.exp(-low)),
        }[kind]
    model = between_casts([node(kind, inputs, **attributes)], list(x.shape), constants)
    y = run(emulate(model), level, x=x)["y"]
    assert np.array_equal(y, half(y)), "not rounded to half"
    unit = np.spacing(np.abs(half(expected)).astype(np.float16)).astype(np.float64)
    assert np.all(np.abs(y - expected) <= unit)


@pytest.mark.parametrize("level", LEVELS)
def test_roundings_between_fused_operators_are_kept(level: str) -> None:
    """A product past 65504 followed by what would bring it back: infinity must stay."""
    two, half_of = np.full((1, 1), 2, np.float16), np.full((1,), 0.25, np.float16)
    nodes = [
        node("MatMul", ["low", "two"], "big"),
        helper.make_node("Relu", ["big"], ["active"], name="relu"),
        node("Mul", ["active", "quarter"]),
    ]
    model = between_casts(nodes, [1, 1], {"two": two, "quarter": half_of})
    assert run(emulate(model), level, x=np.array([[64000]], np.float32))["y"] == np.inf


def test_nodes_correspond_one_to_one_but_for_the_casts(
    make_graph: Callable[..., onnx.ModelProto],
) -> None:
    original = make_graph(half=True, batch=None)
    before = original.SerializeToString()
    emulated = emulate(original)
    assert original.SerializeToString() == before
    onnx.checker.check_model(emulated, full_check=True)
    kept = {item.name: item.op_type for item in emulated.graph.node}
    for item in original.graph.node:
        assert kept[item.name] in (item.op_type, "Identity")
    added = [
        item
        for item in emulated.graph.node
        if item.name not in {item.name for item in original.graph.node}
    ]
    assert {item.op_type for item in added} == {"Cast"}
    order = [item.name for item in original.graph.node]
    assert [item.name for item in emulated.graph.node if item.name in order] == order
    assert not any(tensor.data_type == HALF for tensor in emulated.graph.initializer)


def test_the_emulated_graph_agrees_with_float32_roughly_and_not_exactly(
    make_graph: Callable[..., onnx.ModelProto], make_images: Callable[[int], np.ndarray]
) -> None:
    image = make_images(4)
    wide = run(make_graph(half=False, batch=None), image=image)
    rounded = run(emulate(make_graph(half=True, batch=None)), image=image)
    for name, values in wide.items():
        assert np.abs(values - rounded[name]).max() < 0.02
        assert not np.array_equal(values, rounded[name])


def test_a_batch_equals_its_singles(
    make_graph: Callable[..., onnx.ModelProto], make_images: Callable[[int], np.ndarray]
) -> None:
    emulated = emulate(make_graph(half=True, batch=None))
    image = make_images(3)
    whole = run(emulated, image=image)
    singles = [run(emulated, image=image[index : index + 1]) for index in range(3)]
    for name, values in whole.items():
        assert np.allclose(values, np.concatenate([s[name] for s in singles]), atol=2e-3)


def test_constants_inside_nodes_are_widened() -> None:
    filled = helper.make_node(
        "ConstantOfShape",
        ["shape"],
        ["filled"],
        name="filled",
        value=numpy_helper.from_array(np.array([0.5], np.float16)),
    )
    constant = helper.make_node(
        "Constant",
        [],
        ["third"],
        name="constant",
        value=numpy_helper.from_array(np.array([1 / 3], np.float16)),
    )
    nodes = [constant, filled, node("Add", ["third", "filled"], "sum"), node("Mul", ["low", "sum"])]
    model = between_casts(nodes, [1], {"shape": np.array([1])})
    expected = half(np.float16(1 / 3).astype(np.float32) + np.float32(0.5))
    assert run(emulate(model), x=np.ones(1, np.float32))["y"] == expected


def test_cast_like_and_casts_to_other_types() -> None:
    nodes = [
        node("CastLike", ["x", "low"], "like"),
        node("Add", ["like", "low"], "sum"),
        helper.make_node("Cast", ["sum"], ["whole"], name="to_int", to=TensorProto.INT64),
        helper.make_node("Cast", ["whole"], ["again"], name="from_int", to=HALF),
        helper.make_node("Cast", ["again"], ["result"], name="same", to=HALF),
    ]
    model = between_casts(nodes, [3], {})
    x = np.array([1.4, 2.7, 2049.0], np.float32)
    assert run(emulate(model), x=x)["y"].tolist() == [2.0, 5.0, 4096.0]


def test_bfloat16_rounds_to_its_own_mantissa() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["low"], name="lower", to=BFLOAT),
            node("Mul", ["low", "low"]),
            helper.make_node("Cast", ["result"], ["y"], name="raise", to=FLOAT),
        ],
        "test",
        [helper.make_tensor_value_info("x", FLOAT, [2])],
        [helper.make_tensor_value_info("y", FLOAT, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    y = run(emulate(model), x=np.array([1.0078125, 70000.0], np.float32))["y"]
    assert y.tolist() == [1.015625, 4932501504.0]


@pytest.mark.parametrize("where", ["input", "output"])
def test_half_at_the_border_is_refused(
    make_graph: Callable[..., onnx.ModelProto], where: str
) -> None:
    model = make_graph(half=True, batch=1)
    if where == "input":
        model.graph.input.append(helper.make_tensor_value_info("extra", HALF, [1]))
    else:
        model.graph.output.append(helper.make_tensor_value_info("normed", HALF, [1, 32]))
    with pytest.raises(ContractError, match=r"(extra|normed) of the graph is in half"):
        emulate(model)
