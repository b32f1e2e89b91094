"""Recipes in int8: what a graph asks for by Q/DQ pairs, and what each runtime makes of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines import openvino_engine
from engines.building import build_engine
from engines.bundle import Bundle
from engines.errors import BuildError, UserError
from engines.manifest import read_manifest
from engines.precision import onnx_products
from engines.runtime import open_engine

Quantise = Callable[..., float]
Images = Callable[[int], np.ndarray]


def test_a_product_of_dequantised_factors_is_in_int8(bundle: Path, quantise: Quantise) -> None:
    import onnx

    share = quantise(outputs=True)
    products = onnx_products(onnx.load(bundle / "int8.onnx"))
    assert {product.name: product.dtype for product in products} == {
        "features_node": "int8",
        "hidden_node": "int8",
        "head_low_node": "float32",
        "params_node": "float32",
        "turn_node": "float32",
    }
    flops = {product.name: product.flops for product in products}
    low = flops["features_node"] + flops["hidden_node"]
    assert share == low / sum(flops.values()) > 0.2


def test_one_dequantised_factor_is_not_enough(bundle: Path, quantise: Quantise) -> None:
    """int8 weights alone save memory; the product is in float32."""
    import onnx

    quantise()
    graph = onnx.load(bundle / "int8.onnx")
    product = next(node for node in graph.graph.node if node.name == "hidden_node")
    product.input[0] = "pooled"
    dtypes = {found.name: found.dtype for found in onnx_products(graph)}
    assert dtypes["hidden_node"] == "float32"


@pytest.mark.parametrize(
    ("runtime", "outputs"), [("onnxruntime", True), ("openvino", True), ("openvino", False)]
)
def test_what_is_computed_in_int8_is_found(
    bundle: Path, make_images: Images, quantise: Quantise, runtime: str, outputs: bool
) -> None:
    promised = quantise(outputs=outputs)
    folder = build_engine(bundle, "int8", runtime)
    effective = read_manifest(folder).effective
    assert effective.precision in ("int8 and float32", "int8 and bfloat16")
    assert effective.low_flops_found == pytest.approx(promised, abs=1e-6)
    assert f"{100 * promised:.0f} % of the FLOPs in int8" in effective.line()
    exact = Bundle.open(bundle).reference().params
    with open_engine(folder, threads=1) as engine:
        moved = np.abs(engine.infer({"image": make_images(len(exact))})["params"] - exact).max()
    assert 1e-4 < moved < 0.5


def test_onnx_runtime_leaves_a_convolution_in_float32_and_is_not_believed(
    bundle: Path, quantise: Quantise
) -> None:
    """It takes one only where its output is quantised too, and says nothing."""
    quantise(outputs=False)
    with pytest.raises(BuildError, match=r"ONNX Runtime computes 1\.\d% of its FLOPs in int8; .*2"):
        build_engine(bundle, "int8", "onnxruntime")
    assert not list((bundle / "engines").iterdir())


@pytest.mark.parametrize("wanted", ["f32", "bf16"])
def test_openvino_that_runs_no_integers_breaks_the_promise(
    wanted: str, bundle: Path, quantise: Quantise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever floating-point type this CPU puts in their place."""
    import openvino

    if wanted == "bf16" and openvino_engine.BF16_CAPABILITY not in openvino.Core().get_property(
        openvino_engine.DEVICE, "OPTIMIZATION_CAPABILITIES"
    ):
        pytest.skip("this CPU has no bfloat16")
    quantise()
    real = openvino_engine._layer_precisions
    monkeypatch.setattr(openvino_engine, "choose_precision", lambda *_: wanted)
    monkeypatch.setattr(
        openvino_engine,
        "_layer_precisions",
        lambda compiled: dict.fromkeys(dict(real(compiled)), wanted),
    )
    with pytest.raises(BuildError, match=r"computes 0.0% of its FLOPs in int8; .* promises"):
        build_engine(bundle, "int8", "openvino")


@pytest.mark.parametrize("outputs", [False, True])
def test_tensorrt_parses_what_the_graph_asks_for(
    bundle: Path, quantise: Quantise, outputs: bool
) -> None:
    pytest.importorskip("tensorrt_rtx")
    promised = quantise(outputs=outputs)
    effective = read_manifest(build_engine(bundle, "int8", "tensorrt-rtx")).effective
    assert effective.precision == "int8 and float32"
    assert effective.low_flops_found == pytest.approx(promised, abs=1e-6)


def test_tensorrt_closes_on_a_graph_without_integers(
    bundle: Path, quantise: Quantise, rewrite: Callable[[str, bytes], None]
) -> None:
    pytest.importorskip("tensorrt_rtx")
    quantise()
    rewrite("int8.onnx", (bundle / "fp32.onnx").read_bytes())
    with pytest.raises(BuildError, match=r"computes 0.0% of its FLOPs in \w+; the recipe promises"):
        build_engine(bundle, "int8", "tensorrt-rtx")


def test_int8_beside_half_is_refused_where_it_is_not_measured(
    bundle: Path, quantise: Quantise
) -> None:
    quantise(outputs=True)
    path = bundle / "contract.json"
    contract = json.loads(path.read_text())
    contract["recipes"]["int8"]["precision"] = "float16"
    path.write_text(json.dumps(contract))
    with pytest.raises(UserError, match=r"quantised one, .*build it with `--runtime tensorrt` or"):
        build_engine(bundle, "int8", "onnxruntime")
    assert not (bundle / "engines").exists()
