"""int8-backbone: what is rounded, by which ranges, and that wrong ranges do not pass."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from benchmarks.parity.harness import verify
from engines.building import build_engine
from engines.bundle import CONTRACT_FILE
from engines.errors import UserError
from engines.files import sha256_of
from engines.manifest import read_manifest
from engines.precision import low_share, onnx_products
from export.exporting import ExportReport, export_bundle
from export.lowering import lower
from export.quantising import STEPS, calibrate, quantise
from export.recipes import RECIPES, Recipe

from .conftest import IMAGE_SIZE

RECIPE = RECIPES["int8-backbone"]
IMAGES = np.random.default_rng(3).integers(0, 256, (6, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
KEPT = {
    "backbone.conv1/Conv",
    "backbone.layer1.0.downsample.0/Conv",
    "backbone.layer2.0.downsample.0/Conv",
    "projection.conv/Conv",
}


@pytest.fixture(scope="module")
def largest(traced: ir.Model) -> dict[str, float]:
    return calibrate(traced, RECIPE, IMAGES, None)


@pytest.fixture(scope="module")
def graph(traced: ir.Model, largest: dict[str, float]) -> onnx.ModelProto:
    model = lower(traced, RECIPE)
    quantise(model, RECIPE, largest)
    return ir.to_proto(model)


def constant(graph: onnx.ModelProto, name: str) -> np.ndarray:
    (found,) = (item for item in graph.graph.initializer if item.name == name)
    return onnx.numpy_helper.to_array(found)


def test_the_backbones_convolutions_take_int8_but_those_that_lose_by_it(
    graph: onnx.ModelProto,
) -> None:
    onnx.checker.check_model(graph, full_check=True)
    convolutions = {p.name: p.dtype for p in onnx_products(graph) if p.name.endswith("/Conv")}
    assert {name for name, dtype in convolutions.items() if dtype == "float32"} == KEPT
    assert len(convolutions) == len(KEPT) + 6
    others = {p.dtype for p in onnx_products(graph) if not p.name.startswith("backbone")}
    assert others == {"float32"}


def test_it_is_symmetric_around_zero(graph: onnx.ModelProto) -> None:
    """What TensorRT takes: int8, zero points 0, a scale for each output channel of a weight."""
    pairs = [n for n in graph.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for node in pairs:
        zero, scale = constant(graph, node.input[2]), constant(graph, node.input[1])
        assert zero.dtype == np.int8 and not zero.any(), node.name
        assert (scale > 0).all() and scale.shape == zero.shape
    weights = [n for n in pairs if "weight" in n.name]
    for node in weights:
        assert constant(graph, node.input[1]).shape == (len(constant(graph, node.input[0])),)
    assert len(weights) == 6 and len(pairs) > 3 * 6


def test_sums_add_shortcuts_as_they_are(graph: onnx.ModelProto) -> None:
    """What a block adds is rounded, what it is added to is not: errors do not run on."""
    made = {name: node.op_type for node in graph.graph.node for name in node.output}
    sums = [n for n in graph.graph.node if n.name.startswith("backbone") and n.op_type == "Add"]
    assert len(sums) == 2
    for node in sums:
        assert sorted(made[name] for name in node.input) == ["Conv", "DequantizeLinear"]


def test_a_value_is_rounded_once(graph: onnx.ModelProto) -> None:
    rounded = [n.input[0] for n in graph.graph.node if n.op_type == "QuantizeLinear"]
    assert len(rounded) == len(set(rounded))
    # six convolutions: each reads a value of its own, and two give a sum's term
    assert len(rounded) == 8
    assert "backbone.layer1.0.conv1/Conv" not in rounded  # its ReLU's result is
    assert "backbone.layer1.0.conv3/Conv" in rounded


def test_ranges_are_the_largest_values_seen(
    traced: ir.Model, graph: onnx.ModelProto, largest: dict[str, float]
) -> None:
    """Against the values themselves, which another session gives whole."""
    from engines.onnxruntime_session import create_session, run_session

    name = "backbone.layer1.0.relu/Relu_2"
    whole = ir.to_proto(traced)
    whole.graph.output.append(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    )
    session = create_session(whole.SerializeToString(), "cpu", threads=1)
    seen = np.abs(run_session(session, {"image": IMAGES})[name]).max()
    assert largest[name] == pytest.approx(seen, rel=1e-5)
    assert constant(graph, f"{name}:scale") * STEPS == pytest.approx(seen, rel=0.006)


def test_weights_move_by_half_a_step_at_most(traced: ir.Model, graph: onnx.ModelProto) -> None:
    name = "backbone.layer2.0.conv2.weight"
    exact = traced.graph.initializers[name].const_value
    assert exact is not None
    scale = constant(graph, f"{name}:scale").reshape(-1, 1, 1, 1)
    steps = constant(graph, f"{name}:int8")
    assert np.abs(steps * scale - exact.numpy()).max() <= 0.5001 * scale.max()
    assert (np.abs(steps).max(axis=(1, 2, 3)) == STEPS).all()
    assert name not in {item.name for item in graph.graph.initializer}


def test_a_channel_of_zeros_stays_one(traced: ir.Model, largest: dict[str, float]) -> None:
    model = traced.clone()
    value = model.graph.initializers["backbone.layer1.0.conv2.weight"]
    assert value.const_value is not None
    weight = value.const_value.numpy().copy()
    weight[2] = 0
    value.const_value = ir.tensor(weight, name=value.name)
    quantise(model, RECIPE, largest)
    steps = constant(ir.to_proto(model), "backbone.layer1.0.conv2.weight:int8")
    assert not steps[2].any() and np.abs(steps[3]).max() == STEPS


def test_a_recipe_of_ones_own_can_put_the_rest_in_half(
    traced: ir.Model, largest: dict[str, float]
) -> None:
    mine = replace(RECIPE, name="mine", precision="float16", lowered=("*_branch.layers",))
    model = lower(traced, mine)
    quantise(model, mine, largest)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    dtypes = {p.dtype for p in onnx_products(proto)}
    assert dtypes == {"int8", "float16", "float32"}


def test_modules_without_convolutions_are_refused(traced: ir.Model) -> None:
    nothing = Recipe(name="mine", quantised=("memory_projection",))
    with pytest.raises(UserError, match=r"recipe mine: no convolution lies in memory_projection"):
        calibrate(traced, nothing, IMAGES, None)


@pytest.fixture(scope="module")
def judged(checkpoint: Path, traced: ir.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With as many reference images as a verdict takes; never written to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.exporting.trace", lambda deployed, size, batch: traced)
        return export_bundle(
            checkpoint,
            tmp_path_factory.mktemp("judged") / "bundle",
            variant="mesh",
            recipes=("int8-backbone",),
            batch=None,
            count=16,
        ).folder


@pytest.fixture
def bundle(judged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judged, tmp_path / "bundle"))


@pytest.fixture
def exchange(bundle: Path) -> Callable[[onnx.ModelProto], None]:
    """Puts another graph in the place of the recipe's."""

    def put(graph: onnx.ModelProto) -> None:
        onnx.save(graph, bundle / "int8-backbone.onnx")
        contract = json.loads((bundle / CONTRACT_FILE).read_text())
        contract["files"]["int8-backbone.onnx"] = sha256_of(bundle / "int8-backbone.onnx")
        (bundle / CONTRACT_FILE).write_text(json.dumps(contract))

    return put


def verdict(bundle: Path) -> str:
    return verify(build_engine(bundle, "int8-backbone", "onnxruntime"), threads=1).verdict


def test_an_honest_engine_passes(bundle: Path) -> None:
    assert verdict(bundle) == "pass"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_computes_what_was_promised(bundle: Path, runtime: str) -> None:
    build_engine(bundle, "int8-backbone", runtime)
    effective = read_manifest(bundle / "engines" / f"{runtime}-int8-backbone").effective
    assert effective.precision.startswith("int8 and ")
    assert effective.low_flops_found == pytest.approx(effective.low_flops_promised) != 0


def test_ranges_of_other_images_are_caught(
    traced: ir.Model,
    bundle: Path,
    exchange: Callable[[onnx.ModelProto], None],
) -> None:
    """Of black ones: what an image puts on top is cut off."""
    model = lower(traced, RECIPE)
    quantise(model, RECIPE, calibrate(traced, RECIPE, np.zeros_like(IMAGES), None))
    exchange(ir.to_proto(model))
    assert verdict(bundle) == "fail"


@pytest.mark.parametrize("factor", [0.1, 30.0])
def test_a_broken_scale_is_caught(
    factor: float,
    graph: onnx.ModelProto,
    bundle: Path,
    exchange: Callable[[onnx.ModelProto], None],
) -> None:
    """Too small cuts values off, too large leaves few steps of them."""
    broken = copy.deepcopy(graph)
    for item in broken.graph.initializer:
        if item.name.startswith("backbone.layer1.0.relu") and item.name.endswith(":scale"):
            scale = onnx.numpy_helper.to_array(item) * np.float32(factor)
            item.CopyFrom(onnx.numpy_helper.from_array(scale, item.name))
    exchange(broken)
    assert verdict(bundle) == "fail"


def test_the_share_in_the_contract_is_the_graphs(mesh_bundle: ExportReport) -> None:
    entry = mesh_bundle.contract.recipes["int8-backbone"]
    graph = onnx.load(mesh_bundle.folder / "int8-backbone.onnx")
    assert entry.low_flops_share == low_share(onnx_products(graph)) > 0
    assert (entry.quantised, entry.kept) == (RECIPE.quantised, RECIPE.kept)
    assert entry.calibration_images == 5  # all that the reference has
    assert entry.precision == "float32"
