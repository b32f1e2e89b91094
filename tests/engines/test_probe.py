"""The probe names what a runtime computes, not what the graph says."""

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from engines.onnxruntime_session import create_session, run_session
from engines.probe import effective_precision, probe_model


def on_cpu(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return run_session(create_session(model.SerializeToString(), "cpu", threads=1), inputs)


def test_a_plain_half_graph_on_the_cpu_is_effective_float32() -> None:
    assert effective_precision("float16", emulated=False, run=on_cpu) == "effective float32"


@pytest.mark.parametrize(
    ("precision", "name"), [("float16", "fp16 (emulated)"), ("bfloat16", "bf16 (emulated)")]
)
def test_emulated(precision: str, name: str) -> None:
    assert effective_precision(precision, emulated=True, run=on_cpu) == name


def answers(matmul: float, conv: float) -> str:
    def run(_model: onnx.ModelProto, _inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"MatMul": np.array([matmul]), "Conv": np.array([conv])}

    return effective_precision("float16", emulated=False, run=run)


def test_half_kernels_are_recognised_and_so_are_half_measures() -> None:
    assert answers(np.inf, np.inf) == "float16"
    assert answers(128000, 128000) == "effective float32"
    assert answers(np.inf, 128000) == "effective float32 in Conv"


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_the_probe_is_small_and_old_enough_for_every_runtime(precision: str) -> None:
    model = probe_model(precision)
    assert model.ir_version <= 10
    assert model.opset_import[0].version <= 20
    if precision == "float16":  # Conv knows bfloat16 from opset 22 on
        onnx.checker.check_model(model, full_check=True)
