"""What runtimes tell of their layers: real profiles here, planted ones of what is not here."""

import importlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from standins.plans import need_real, plan_text, put_machine, write_engine

from engines.building import build_engine
from engines.errors import UserError
from engines.layer_times import MIN_CALLS, WARM_CALLS, repeat
from engines.manifest import BatchProfile
from engines.onnxruntime_profile import read_layers
from engines.openvino_profile import profile_compiled
from engines.options import BuildOptions
from engines.runtime import profile_engine

Images = Callable[[int], np.ndarray]
PROFILE = BatchProfile(min=1, opt=2, max=4)


def result_names(graph: Path) -> set[str]:
    """Nodes and their results, by which runtimes call their layers."""
    nodes = onnx.load(graph).graph.node
    return {node.name for node in nodes} | {name for node in nodes for name in node.output}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("onnxruntime", BuildOptions()),
        ("openvino", BuildOptions()),
        ("openvino", BuildOptions(mode="throughput")),
    ],
    ids=["onnxruntime", "openvino", "openvino-throughput"],
)
def test_the_layers_of_a_real_engine(
    bundle: Path, make_images: Images, name: str, options: BuildOptions
) -> None:
    folder = build_engine(bundle, "fp32", name, profiles=[PROFILE], options=options)
    found = profile_engine(folder, {"image": make_images(3)}, seconds=0.01, threads=1)
    assert found.calls >= MIN_CALLS
    spent = sum(layer.milliseconds for layer in found.layers)
    assert 0 < spent <= 1.05 * found.milliseconds  # counters of whole microseconds
    told = {node for layer in found.layers for node in layer.nodes}
    # OpenVINO leaves out what takes no whole microsecond; a convolution may be called after its
    # activation, or that one's result
    assert told & result_names(bundle / "fp32.onnx")
    assert name == "openvino" or told >= {"active", "hidden_node", "head_low_node"}


def run_at(start: int, **nodes: int) -> list[dict[str, Any]]:
    """The events of one run that begins at so many microseconds."""
    events = [{"cat": "Session", "name": "model_run", "ts": start, "dur": 900, "args": {}}]
    for number, (name, dur) in enumerate(nodes.items(), 1):
        at = {"ts": start + number, "dur": dur}
        args = {"op_name": name.split("_")[0], "provider": "CPUExecutionProvider"}
        events.append({"cat": "Node", "name": f"m/{name}_kernel_time", "args": args, **at})
    return events


def test_only_counted_runs_count_and_a_nodes_runs_are_averaged() -> None:
    events = [
        *run_at(0, Conv_nchwc=900, Relu=800),
        *run_at(1000, Conv_nchwc=100, Relu=10),
        *run_at(2000, Conv_nchwc=300, Relu=30),
    ]
    layers = read_layers(events, calls=2, on_gpu=False)
    assert [(layer.name, layer.milliseconds) for layer in layers] == [
        ("m/Conv", pytest.approx(0.2)),
        ("m/Relu", pytest.approx(0.02)),
    ]


def test_of_a_gpu_the_kernels_count_and_not_their_launches() -> None:
    kernel = {
        "cat": "Kernel",
        "name": "sm80_xmma_fprop",
        "ts": 5,
        "dur": 70,
        "args": {"parent_name": "fused m/Conv_kernel_time", "op_name": "Conv"},
    }
    events = [*run_at(0, Conv=4), kernel, kernel | {"ts": 80, "dur": 30}]
    (layer,) = read_layers(events, calls=1, on_gpu=True)
    assert (layer.nodes, layer.kind) == (("m/Conv",), "Conv")
    assert layer.milliseconds == pytest.approx(0.1)
    with pytest.raises(UserError, match="records when a GPU's kernels are launched"):
        read_layers(run_at(0, Conv=4), calls=1, on_gpu=True)


class Counted:
    """A compiled model of OpenVINO whose layer takes a whole microsecond only once it is warm."""

    def __init__(self) -> None:
        self.calls = 0

    def create_infer_request(self) -> "Counted":
        return self

    def infer(self, inputs: dict[str, np.ndarray]) -> None:
        self.calls += 1

    def get_profiling_info(self) -> list[SimpleNamespace]:
        status = SimpleNamespace(EXECUTED="executed")
        mean = timedelta(microseconds=2 if self.calls > WARM_CALLS else 0)
        told = {"node_name": "sum", "node_type": "ReduceSum", "Status": status, "real_time": mean}
        return [SimpleNamespace(**told, status="executed" if mean else "not run")]

    def get_runtime_model(self) -> "Counted":
        return self

    def get_ordered_ops(self) -> list[object]:
        return []


def test_a_layer_that_openvino_lists_late_counts_from_nothing() -> None:
    compiled = Counted()
    found = profile_compiled(compiled, {}, seconds=1e-9)
    (layer,) = found.layers
    assert (layer.name, layer.kind, found.calls) == ("sum", "ReduceSum", MIN_CALLS)
    assert layer.milliseconds == pytest.approx(0.002 * compiled.calls / MIN_CALLS)


LAYERS = [
    {"Name": "conv + relu", "ms": 0.5, "Metadata": "[ONNX Layer: features_node]\x1e[ONNX Layer: "
     "active_node]", "Inputs": [], "Outputs": []},
    {"Name": "hidden_node + normed_node", "ms": 0.25, "Inputs": [], "Outputs": []},
]  # fmt: skip


@pytest.mark.parametrize("table", [True, False], ids=["with the build's table", "without"])
@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_a_plans_layers(
    bundle: Path,
    make_images: Images,
    monkeypatch: pytest.MonkeyPatch,
    flavour: str,
    table: bool,
) -> None:
    """Over stand-ins: a plan reports each layer's time, graphs are off, all is given back."""
    gpu = put_machine(monkeypatch, flavour, "cuda.bindings")
    folder = write_engine(bundle, flavour, plan_text(bundle, layers=LAYERS))
    if table:
        (folder / "layers.json").write_text(json.dumps({"Layers": [*LAYERS, "only a name"]}))
    found = profile_engine(folder, {"image": make_images(5)}, seconds=0.001)
    assert [(layer.name, layer.milliseconds) for layer in found.layers] == [
        ("conv + relu", pytest.approx(0.5)),
        ("hidden_node + normed_node", pytest.approx(0.25)),
    ]
    expected = ("features_node", "active_node") if table else ("conv", "relu")
    assert found.layers[0].nodes == expected
    assert found.layers[1].nodes == ("hidden_node", "normed_node")
    assert not any("Graph" in call or "capture" in call for call in gpu.calls)
    assert gpu.left_over() == {}


@pytest.mark.gpu
@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_a_real_plans_layers(bundle: Path, make_images: Images, flavour: str) -> None:
    need_real(flavour)
    folder = build_engine(bundle, "fp16", flavour)
    found = profile_engine(folder, {"image": make_images(1)}, seconds=0.1)
    assert found.layers
    assert 0 < sum(layer.milliseconds for layer in found.layers) <= found.milliseconds
    told = {node for layer in found.layers for node in layer.nodes}
    assert told & result_names(bundle / "fp16.onnx")


@pytest.mark.gpu
def test_the_layers_of_the_real_cuda_provider(bundle: Path, make_images: Images) -> None:
    """Kernels' times, or a refusal where this build cannot tell them."""
    ort = importlib.import_module("onnxruntime")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    folder = build_engine(bundle, "fp32", "onnxruntime", options=BuildOptions(provider="cuda"))
    try:
        found = profile_engine(folder, {"image": make_images(1)}, seconds=0.1)
    except UserError as error:
        assert "CUPTI" in str(error)
    else:
        assert {node for layer in found.layers for node in layer.nodes} & {"features_node"}


def test_calls_are_warmed_up_and_counted() -> None:
    calls: list[int] = []
    taken = repeat(lambda: calls.append(1), 1e-9)
    assert (len(calls), len(taken)) == (WARM_CALLS + MIN_CALLS, MIN_CALLS)
    assert all(milliseconds > 0 for milliseconds in taken)
