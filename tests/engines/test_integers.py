"""A quantised graph made fit for this processor: finer steps above zero, no idle rounding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import integers
from engines.building import build_engine
from engines.errors import ContractError
from engines.integers import unsigned_bits, with_unsigned_values, without_idle_pairs
from engines.manifest import read_manifest
from engines.onnxruntime_session import create_session, run_session
from engines.runtime import open_engine

STEP = np.float32(0.5)
"""Of the values, in `pooled_graph`."""


def pooled_graph() -> onnx.ModelProto:
    """x [1, 2, 4, 4] -> ReLU, pooling, a 1x1 convolution of integers; its sum with x pooled."""
    weight = np.eye(2, dtype=np.int8).reshape(2, 2, 1, 1) * 127
    constants = {
        "step": STEP,
        "zero": np.array(0, np.int8),
        "weight": weight,
        "steps": np.full(2, 1 / 127, np.float32),
        "zeros": np.zeros(2, np.int8),
    }
    nodes = [
        helper.make_node("Relu", ["x"], ["above"]),
        helper.make_node("MaxPool", ["above"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        *pair("pooled"),
        helper.make_node("DequantizeLinear", ["weight", "steps", "zeros"], ["kernel"], axis=0),
        helper.make_node("Conv", ["pooled/rounded", "kernel"], ["conv"], name="conv"),
        *pair("conv"),
        helper.make_node("AveragePool", ["x"], ["mean"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["conv/rounded", "mean"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 2, 2])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def pair(name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [name, "step", "zero"], [f"{name}/integers"]),
        helper.make_node(
            "DequantizeLinear", [f"{name}/integers", "step", "zero"], [f"{name}/rounded"]
        ),
    ]


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = create_session(model.SerializeToString(), "cpu", threads=1)
    return run_session(session, {"x": x})["y"]


X = np.random.default_rng(0).uniform(-40, 60, (1, 2, 4, 4)).astype(np.float32)


def types_of(model: onnx.ModelProto) -> dict[str, tuple[str, float]]:
    """What each rounded value is rounded to: numpy's type and the step."""
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    return {
        node.input[0]: (str(constants[node.input[2]].dtype), float(constants[node.input[1]]))
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }


@pytest.mark.parametrize(("bits", "step"), [(8, 0.25), (7, 0.5)])
def test_only_what_is_never_below_zero_loses_its_sign(bits: int, step: float) -> None:
    """Through the pooling behind a ReLU; a convolution's result keeps it."""
    model = pooled_graph()
    changed = with_unsigned_values(model, bits)
    assert types_of(changed) == {"pooled": ("uint8", step), "conv": ("int8", 0.5)}
    assert types_of(model)["pooled"] == ("int8", 0.5)  # a copy was changed


def test_seven_bits_answer_as_the_graph_itself_and_eight_are_nearer() -> None:
    model = pooled_graph()
    pooled = np.maximum(X, 0).reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5))
    exact = pooled + X.reshape(1, 2, 2, 2, 2, 2).mean(axis=(3, 5))
    same = run(model, X)
    assert np.allclose(run(with_unsigned_values(model, 7), X), same, atol=1e-5)
    coarse, fine = (
        np.abs(run(without_idle_pairs(each), X) - exact).max()
        for each in (model, with_unsigned_values(model, 8))
    )
    assert fine <= STEP / 4 + 1e-4 < coarse <= STEP / 2 + 1e-4


def test_seven_bits_do_not_overflow_sixteen() -> None:
    """Two products at most: what VPMADDUBSW adds, saturating at 32,767."""
    assert 2 * 127 * 127 < 2**15 <= 2 * 255 * 127


def test_rounding_that_no_product_reads_is_left_out() -> None:
    left = without_idle_pairs(pooled_graph())
    assert list(types_of(left)) == ["pooled"]
    assert [node.input[0] for node in left.graph.node if node.op_type == "Add"] == ["conv"]
    run(left, X)


@pytest.mark.parametrize(
    ("sets", "bits"),
    [
        (["avx2"], 7),
        (["avx2", "avx512f"], 7),
        (["avx2", "avx_vnni"], 8),
        (["avx2", "avx512f", "avx512_vnni"], 8),
        ([], 8),  # not x86: its instructions add bytes in 32 bits
    ],
)
def test_the_processor_decides(sets: list[str], bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "instruction_sets", lambda: sets)
    assert unsigned_bits() == bits


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_of_finer_steps_is_refused_where_they_overflow(
    runtime: str,
    bundle: Path,
    quantise: Callable[..., float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quantise(outputs=True)
    monkeypatch.setattr(integers, "instruction_sets", lambda: ["avx2", "avx_vnni"])
    folder = build_engine(bundle, "int8", runtime)
    assert read_manifest(folder).settings["unsigned_bits"] == 8
    open_engine(folder, threads=1).close()
    monkeypatch.setattr(integers, "instruction_sets", lambda: ["avx2"])
    with pytest.raises(ContractError, match=r"in 8 bits, .* expected 7 on this .* rebuild: `"):
        open_engine(folder, threads=1)
    assert read_manifest(build_engine(bundle, "int8", runtime)).settings["unsigned_bits"] == 7
    open_engine(folder, threads=1).close()
