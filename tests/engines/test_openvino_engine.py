"""OpenVINO: which recipe is computed in what, and that it is read back, never believed."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, numpy_helper

from engines import openvino_engine
from engines.building import build_engine
from engines.contract import RecipeEntry
from engines.errors import BuildError, ContractError, UserError
from engines.machine import Machine
from engines.manifest import hash_files, read_manifest, write_manifest
from engines.openvino_engine import CACHE_FILE, choose_precision, compile_tapped, float_values
from engines.options import BuildOptions
from engines.runtime import open_engine

Images = Callable[[int], np.ndarray]
PLAIN = ["FP32", "INT8", "BIN", "EXPORT_IMPORT"]
"""What OpenVINO says of a CPU with AVX2."""
WITH_BF16 = ["FP32", "BF16", "INT8"]
CORES = min(2, len(os.sched_getaffinity(0)))
HERE = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Processor:
    """`openvino.Core` as far as it is asked about the processor."""

    def __init__(self, capabilities: list[str]) -> None:
        self.facts = {
            "OPTIMIZATION_CAPABILITIES": capabilities,
            "FULL_DEVICE_NAME": "Some CPU ",
        }

    def get_property(self, _device: str, name: str) -> Any:
        return self.facts[name]


def entry(precision: Any, **nodes: int) -> RecipeEntry:
    return RecipeEntry(qamem="none", precision=precision, low_flops_share=0.9, node_counts=nodes)


@pytest.mark.parametrize(
    ("recipe", "made_of", "capabilities", "expected"),
    [
        ("fp32", entry("float32"), PLAIN, "f32"),
        ("fp32", entry("float32"), WITH_BF16, "f32"),
        ("bf16", entry("bfloat16"), WITH_BF16, "bf16"),
        ("int8-backbone", entry("float32", DequantizeLinear=9), WITH_BF16, "bf16"),
        ("int8-backbone", entry("float32", DequantizeLinear=9), PLAIN, "f32"),
    ],
)
def test_a_recipe_has_its_precision(
    recipe: str, made_of: RecipeEntry, capabilities: list[str], expected: str
) -> None:
    assert choose_precision(recipe, made_of, Processor(capabilities)) == expected


@pytest.mark.parametrize(
    ("recipe", "precision", "capabilities", "said"),
    [
        ("fp16", "float16", WITH_BF16, "recipe fp16 came; OpenVINO computes every graph in one"),
        ("fp16-backbone", "float16", WITH_BF16, "recipe fp16-backbone came; OpenVINO computes"),
        ("searched", "bfloat16", WITH_BF16, "recipe searched came; OpenVINO computes every graph"),
        ("bf16", "bfloat16", PLAIN, r"this CPU \(Some CPU\) has FP32, INT8, .*with AMX or AVX-512"),
    ],
)
def test_a_recipe_that_would_be_altered_is_refused(
    recipe: str, precision: str, capabilities: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        choose_precision(recipe, entry(precision), Processor(capabilities))
    assert "\n" not in str(caught.value)


def test_half_is_refused_before_anything_is_built(bundle: Path) -> None:
    with pytest.raises(UserError, match=r"recipe fp16 came; .* build it with `--runtime onnxrunt"):
        build_engine(bundle, "fp16", "openvino")
    assert not (bundle / "engines").exists()


def test_float32_is_read_back(bundle: Path) -> None:
    manifest = read_manifest(build_engine(bundle, "fp32", "openvino"))
    assert manifest.effective.precision == "float32"
    assert manifest.settings == {"mode": "latency", "precision": "f32"}
    assert sorted(manifest.files) == ["compiled.blob", "model.bin", "model.xml"]
    assert manifest.provider == "openvino"


@pytest.mark.skipif("BF16" in HERE, reason="this CPU has bfloat16")
def test_bf16_that_becomes_float32_without_a_word_is_noticed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What OpenVINO does on a CPU without bfloat16 when nobody asks it first."""
    monkeypatch.setattr(openvino_engine, "choose_precision", lambda *_: "bf16")
    with pytest.raises(UserError, match="precision bf16 was asked for, OpenVINO took f32"):
        build_engine(bundle, "fp32", "openvino")


@pytest.mark.skipif("BF16" in HERE, reason="this CPU has bfloat16")
def test_bf16_is_refused_where_the_cpu_lacks_it(bundle: Path, lower: Callable[[str], None]) -> None:
    lower("bf16")
    with pytest.raises(UserError, match=r"recipe bf16 came; this CPU .* build recipe fp32"):
        build_engine(bundle, "bf16", "openvino")


@pytest.mark.skipif("BF16" not in HERE, reason="this CPU has no bfloat16")
def test_bf16_is_read_back(bundle: Path, lower: Callable[[str], None]) -> None:
    lower("bf16")
    effective = read_manifest(build_engine(bundle, "bf16", "openvino")).effective
    assert effective.precision == "bfloat16"
    assert effective.low_flops_found == effective.low_flops_promised == 1


def test_a_product_in_another_precision_is_an_error(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = openvino_engine._layer_precisions

    def altered(compiled: Any) -> dict[str, str]:
        return dict(real(compiled)) | {"hidden_node": "bf16"}

    monkeypatch.setattr(openvino_engine, "_layer_precisions", altered)
    with pytest.raises(BuildError, match="computes hidden_node in bf16; expected f32 as asked"):
        build_engine(bundle, "fp32", "openvino")


def test_throughput_splits_a_batch_over_streams(bundle: Path, make_images: Images) -> None:
    folder = build_engine(
        bundle, "fp32", "openvino", options=BuildOptions(mode="throughput"), name="split"
    )
    assert "--mode throughput" in read_manifest(folder).build_command(bundle)
    whole = build_engine(bundle, "fp32", "openvino")
    for batch in (1, 2, 5):
        images = {"image": make_images(batch)}
        with open_engine(folder, CORES) as split, open_engine(whole, 1) as one:
            expected, answers = one.infer(images), split.infer(images)
        for name, values in expected.items():
            assert np.allclose(answers[name], values, atol=1e-5)


def test_throughput_needs_a_dynamic_graph(static_bundle: Path) -> None:
    with pytest.raises(BuildError, match=r"--mode throughput came; .* static, at batch 2; export"):
        build_engine(static_bundle, "fp32", "openvino", options=BuildOptions(mode="throughput"))
    build_engine(static_bundle, "fp32", "openvino", options=BuildOptions(mode="latency"))


def test_more_threads_than_cores_are_refused(bundle: Path) -> None:
    folder = build_engine(bundle, "fp32", "openvino")
    with pytest.raises(UserError, match=r"threads 4096 came; OpenVINO took \d+; .* ask for fewer"):
        open_engine(folder, threads=4096)


def test_on_another_cpu_the_graph_is_compiled_anew(
    bundle: Path, make_images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_engine(bundle, "fp32", "openvino")
    images = {"image": make_images(2)}
    with open_engine(folder, threads=1) as engine:
        expected = engine.infer(images)
    (folder / CACHE_FILE).write_bytes(b"made on another processor")
    write_manifest(folder, replace(read_manifest(folder), files=hash_files(folder)))
    with pytest.raises(ContractError, match="OpenVINO cannot load"):
        open_engine(folder)
    monkeypatch.setattr(openvino_engine, "this_machine", lambda: Machine(cpu="another"))
    with open_engine(folder, threads=1) as engine:
        answers = engine.infer(images)
    for name, values in expected.items():
        assert np.array_equal(answers[name], values)


def test_a_graph_openvino_cannot_read(
    bundle: Path, rewrite: Callable[[str, bytes], None], make_graph: Callable[..., onnx.ModelProto]
) -> None:
    graph = make_graph(half=False, batch=None)
    graph.graph.node[4].op_type = "Unheard"
    rewrite("fp32.onnx", graph.SerializeToString())
    with pytest.raises(UserError) as caught:
        build_engine(bundle, "fp32", "openvino")
    assert "\n" not in str(caught.value)
    assert not list((bundle / "engines").iterdir())


@pytest.fixture
def lower(
    add_recipe: Callable[[str, onnx.ModelProto, RecipeEntry], None],
    make_graph: Callable[..., onnx.ModelProto],
) -> Callable[[str], None]:
    """Put a recipe in bfloat16, made of the one in half, into the bundle."""

    def add(recipe: str) -> None:
        graph = make_graph(half=True, batch=None)
        for tensor in graph.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT16:
                values = numpy_helper.to_array(tensor).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(bfloat16(values), tensor.name))
        for node in graph.graph.node:
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                    attribute.i = TensorProto.BFLOAT16
        add_recipe(recipe, graph, replace(entry("bfloat16"), low_flops_share=0.4))

    return add


def bfloat16(values: np.ndarray) -> np.ndarray:
    import ml_dtypes

    return values.astype(ml_dtypes.bfloat16)


def test_inner_values_are_read_as_the_type_they_are(tmp_path: Path) -> None:
    """OpenVINO shows bfloat16 as float16, whose bits mean other numbers."""
    from openvino import Model as OvModel
    from openvino import Type, opset13, save_model

    values = np.float32([[1.0, -2.5, 300.0, 1e20]])
    image = opset13.parameter([1, 4], np.float32, name="image")
    low = opset13.convert(image, Type.bf16)
    low.output(0).set_names({"low"})
    back = opset13.convert(opset13.multiply(low, low), Type.f32)
    back.output(0).set_names({"out"})
    save_model(OvModel([back], [image]), tmp_path / "m.xml", compress_to_fp16=False)
    settings = {"precision": "f32", "mode": "latency"}
    compiled, names = compile_tapped(tmp_path / "m.xml", settings, ["low", "nothing"], 1)
    assert names == ("low",)
    request = compiled.create_infer_request()
    request.infer({0: values})
    np.testing.assert_allclose(float_values(request.get_tensor("low")), values, rtol=2**-8)
