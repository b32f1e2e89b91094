"""The worker's reading of a parsed network, of the log and of a built plan; plain builds."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import standins
from onnx import TensorProto, helper, numpy_helper

from engines import building, tensorrt_engine, tensorrt_flavours
from engines.errors import BuildError
from engines.files import write_whole
from engines.machine import Machine, this_machine
from engines.manifest import read_manifest
from engines.options import BuildOptions
from engines.precision import Product, onnx_products
from engines.tensorrt_worker import LogLines, write_layers
from engines.timing_cache import timing_cache_path

pytest.importorskip("tensorrt_rtx")

V100 = Machine(cpu="c", gpu="Tesla V100", compute_capability="7.0", driver="535", cuda="12.6")
H100 = replace(V100, gpu="H100", compute_capability="9.0")

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


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Let plain TensorRT of a version be TensorRT-RTX under another name; returns its caches."""

    def install(version: str) -> Path:
        monkeypatch.setenv("PYTHONPATH", str(Path(standins.__file__).parent / "plain"))
        monkeypatch.setenv("STANDIN_TENSORRT_VERSION", version)
        alias = standins.load("tensorrt", "plain/tensorrt.py")
        monkeypatch.setitem(sys.modules, "tensorrt", alias)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
        monkeypatch.setattr(
            tensorrt_flavours, "distribution_version", lambda *_: ("tensorrt_cu12", version)
        )
        for module in (building, tensorrt_engine):
            monkeypatch.setattr(module, "this_machine", lambda: V100)
        monkeypatch.setattr(tensorrt_engine.TensorRT, "_loads_on", lambda *_: False)
        return timing_cache_path(version, V100)

    return install


@pytest.mark.parametrize("version", ["10.3.0", "10.4.0"])
def test_a_plain_build_with_its_timing_cache(
    bundle: Path, plain: Callable[[str], Path], version: str
) -> None:
    cache = plain(version)
    write_whole(cache, b"cut short")
    steps: list[str] = []
    folder = building.build_engine(
        bundle,
        "fp16",
        "tensorrt",
        options=BuildOptions(workspace=64),
        progress=lambda what, _share: steps.append(what),
    )
    manifest = read_manifest(folder)
    assert (manifest.runtime_version, manifest.machine) == (version, V100)
    assert manifest.settings["workspace"] == 64
    assert "--workspace 64" in manifest.build_command(bundle)
    assert manifest.effective.low_flops_found == pytest.approx(0.443, abs=1e-3)
    assert f"timing cache refused, now {cache.name}.bad" in steps
    assert cache.with_name(cache.name + ".bad").read_bytes() == b"cut short"
    assert len(cache.read_bytes()) > 100


def test_parallel_builds_share_one_timing_cache(bundle: Path, plain: Callable[[str], Path]) -> None:
    """Each in a process of its own, from a broken file on."""
    cache = plain("10.4.0")
    write_whole(cache, b"cut short")
    with ThreadPoolExecutor(2) as pool:
        builds = [
            pool.submit(building.build_engine, bundle, recipe, "tensorrt")
            for recipe in ("fp32", "fp16")
        ]
        folders = [build.result() for build in builds]
    assert all(read_manifest(folder).runtime_version == "10.4.0" for folder in folders)
    assert sorted(item.name.removeprefix(cache.name) for item in cache.parent.iterdir()) == [
        "", ".bad", ".lock",
    ]  # fmt: skip


def test_a_built_plan_that_does_not_load_is_no_engine(
    bundle: Path, plain: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU here, so the real library cannot load what it built; the timing cache is kept."""
    if this_machine().gpu is not None:
        pytest.skip("there is a GPU")
    plain("11.4.0")
    for module in (building, tensorrt_engine):
        monkeypatch.setattr(module, "this_machine", lambda: H100)
    monkeypatch.setattr(tensorrt_engine.TensorRT, "_loads_on", lambda *_: True)
    with pytest.raises(BuildError, match=r"tensorrt cannot load the plan it built: .*Cuda Runtime"):
        building.build_engine(bundle, "fp16", "tensorrt")
    assert not list((bundle / "engines").iterdir())
    assert timing_cache_path("11.4.0", H100).is_file()


def test_a_disk_without_room_is_told_in_one_line(
    bundle: Path, plain: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain("10.4.0")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(tensorrt_engine, "PLAN_FILE", str(full))
    with pytest.raises(BuildError, match=r"cannot be written: .*No space left on device; free"):
        building.build_engine(bundle, "fp16", "tensorrt")
    assert not list((bundle / "engines").iterdir())


LAYERS = [
    {
        "Name": "features_node + active_node",
        "Metadata": "[ONNX Layer: features_node]\x1e[ONNX Layer: active_node]",
        "Inputs": [{"Format/Datatype": "Half"}],
        "Outputs": [{"Format/Datatype": "Half"}],
    }
]


@pytest.mark.parametrize(("kind", "promised"), [("Half", 1.0), ("Float", 0.0)])
def test_the_layer_table_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, promised: float
) -> None:
    gpu = standins.install(monkeypatch)
    trt = standins.load("tensorrt", "tensorrt_api.py")
    layer = LAYERS[0] | {side: [{"Format/Datatype": kind}] for side in ("Inputs", "Outputs")}
    tensors = [{"name": "image", "input": True, "dtype": "UINT8", "shape": [-1, 4, 4, 3]}]
    plan = {"tensors": tensors, "profiles": [[1, 2, 3]], "scratch": 0, "layers": [layer]}
    products = [Product(name="features_node", dtype="float16", flops=10)]
    task = {
        "flavour": "tensorrt",
        "inputs": {"image": ["batch", 4, 4, 3]},
        "profiles": [{"min": 1, "opt": 2, "max": 3}],
        "layers": str(tmp_path / "layers.json"),
        "promised": 1.0,
    }
    with gpu.primary():  # TensorRT makes it current by itself in the worker's process
        if kind == "Half":
            write_layers(trt, json.dumps(plan).encode(), products, task)
        else:
            with pytest.raises(BuildError, match=r"100.0% of its FLOPs in float32 and at most 0"):
                write_layers(trt, json.dumps(plan).encode(), products, task)
        with pytest.raises(BuildError, match=r"refuses the shape of image: image \(9, 4, 4, 3\)"):
            sizes = {"profiles": [{"opt": 9}]}
            write_layers(trt, json.dumps(plan).encode(), products, task | sizes)
        with pytest.raises(BuildError, match=r"cannot load the plan it built: .*magicTag failed"):
            write_layers(trt, b"cut short", products, task)
    table = json.loads((tmp_path / "layers.json").read_text())
    assert table["flops"] == {"low": promised, "full": 1 - promised, "untold": 0.0}
    assert table["Layers"] == [layer]
