"""The worker's reading of a parsed network and of the log."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.precision import onnx_products
from engines.tensorrt_worker import LogLines

pytest.importorskip("tensorrt_rtx")

COUNT = """
import json, sys
from dataclasses import asdict
import tensorrt_rtx as trt
from polygraphy.backend.trt import NetworkFromOnnxPath
from engines.tensorrt_worker import network_products
builder, network, parser = NetworkFromOnnxPath(sys.argv[1], strongly_typed=True)()
task = {"inputs": {"x": ["batch", 8, 6, 6]}, "profiles": [{"opt": 3}]}
before = tuple(network.get_input(0).shape)
products = network_products(trt, network, task)
assert tuple(network.get_input(0).shape) == before == (-1, 8, 6, 6)
print("RESULT" + json.dumps([asdict(product) for product in products]))
"""


def graph(path: Path) -> onnx.ModelProto:
    """Grouped and strided convolutions, a product over batch times heads, a transposed Gemm."""
    nodes = [
        helper.make_node("Cast", ["x"], ["low"], name="lower", to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["low", "k1"], ["a"], name="grouped", group=4, pads=[1] * 4),
        helper.make_node("Conv", ["a", "k2"], ["b"], name="strided", strides=[2, 2]),
        helper.make_node("Shape", ["b"], ["shape"], name="shape", start=0, end=1),
        helper.make_node("Mul", ["shape", "four"], ["rows"], name="rows"),
        helper.make_node("Concat", ["rows", "rest"], ["to"], name="to", axis=0),
        helper.make_node("Reshape", ["b", "to"], ["c"], name="heads"),
        helper.make_node("Cast", ["c"], ["wide"], name="raise", to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["wide", "w"], ["d"], name="product"),
        helper.make_node("Flatten", ["d"], ["e"], name="flat"),
        helper.make_node("Gemm", ["e", "g"], ["y"], name="transposed", transB=1),
    ]
    half, full = np.float16, np.float32
    constants = {
        "k1": np.ones((12, 2, 3, 3), half), "k2": np.ones((8, 12, 2, 2), half),
        "four": np.array([4]), "rest": np.array([9, 2]),
        "w": np.ones((2, 5), full), "g": np.ones((7, 45), full),
    }  # fmt: skip
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "products",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8, 6, 6])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 7])],
            [numpy_helper.from_array(values, name) for name, values in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, path)
    return model


def test_a_parsed_network_has_the_graphs_products(tmp_path: Path) -> None:
    model = graph(tmp_path / "graph.onnx")
    answer = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path / "graph.onnx")],
        env=os.environ | {"POLYGRAPHY_USE_TENSORRT_RTX": "1"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(answer.stdout.split("RESULT")[1])
    expected = {product.name: (product.dtype, product.flops) for product in onnx_products(model, 3)}
    assert {item["name"]: (item["dtype"], item["flops"]) for item in found} == expected
    assert expected["grouped"] == ("float16", 3 * 2 * 12 * 36 * 2 * 9)
    assert expected["product"] == ("float32", 3 * 4 * 2 * 9 * 5 * 2)


@pytest.mark.parametrize(
    ("levels", "tail"),
    [
        ([logging.INFO] * 8, "2 | 3 | 4 | 5 | 6 | 7"),
        ([logging.INFO, logging.ERROR, logging.INFO, logging.CRITICAL], "1 | 3"),
        ([], ""),
    ],
)
def test_the_tail_of_the_log_prefers_errors(levels: list[int], tail: str) -> None:
    log = LogLines()
    for index, level in enumerate(levels):
        log.emit(logging.LogRecord("x", level, "", 0, f"{index}\n", None, None))
    assert log.tail() == tail
