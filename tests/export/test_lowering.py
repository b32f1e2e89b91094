from dataclasses import replace
from typing import get_args

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from engines.emulation import emulate
from engines.errors import UserError
from engines.onnxruntime_session import create_session, run_session
from engines.precision import low_share, onnx_products
from export.checks import SHAPE_OPERATORS, TOLERANCES
from export.deployed import Deployed
from export.exporting import ExportReport
from export.graph import MAX_OPSET, node_counts, trace
from export.lowering import lower
from export.modules import module_of
from export.recipes import RECIPES, QAMemForm, Recipe
from export.reference import eager_answers
from trans3dhead.network.model import build_network

from .conftest import IMAGE_SIZE, mini

HALF = ir.DataType.FLOAT16
FLOATS = (ir.DataType.FLOAT, HALF)
IMAGES = np.random.default_rng(3).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)


def run(model: ir.Model) -> dict[str, np.ndarray]:
    session = create_session(ir.to_proto(model).SerializeToString(), "cpu", threads=1)
    return run_session(session, {"image": IMAGES})


@pytest.fixture(scope="module")
def half(traced: ir.Model) -> ir.Model:
    return lower(traced, RECIPES["fp16"])


@pytest.fixture(scope="module")
def brain(traced: ir.Model) -> ir.Model:
    """The bf16 recipe's graph."""
    return lower(traced, RECIPES["bf16"])


def test_types_follow_the_modules(half: ir.Model) -> None:
    for node in half.graph:
        wanted = RECIPES["fp16"].type_of(module_of(node))
        types = {str(v.dtype) for v in node.outputs if v.dtype in FLOATS}
        if node.op_type != "Cast":
            assert types <= {"FLOAT16" if wanted == "float16" else "FLOAT"}, node.name


def test_outputs_and_input_keep_their_types(half: ir.Model) -> None:
    assert half.graph.inputs[0].dtype == ir.DataType.UINT8
    assert {value.dtype for value in half.graph.outputs} == {ir.DataType.FLOAT}


def test_casts_stand_at_the_borders_alone(half: ir.Model) -> None:
    casts = [node.name for node in half.graph if node.op_type == "Cast"]
    assert len(casts) == 5  # pixels; into the backbone; three states to the answers
    assert "normalise/Sub:float16" in casts


def test_statistics_of_norms_are_float32(half: ir.Model) -> None:
    for node in half.graph:
        if node.op_type == "LayerNormalization":
            assert node.inputs[0] is not None and node.inputs[0].dtype == HALF
            stash = node.attributes.get("stash_type")
            assert stash is None or stash.as_int() == ir.DataType.FLOAT


def test_constants_are_stored_in_half(half: ir.Model, traced: ir.Model) -> None:
    weight = half.graph.initializers["backbone.conv1.weight"]
    assert weight.dtype == HALF
    stored = {name: value.dtype for name, value in half.graph.initializers.items()}
    assert stored["landmark_branch.layers.0.qamem.weight"] == HALF
    assert stored["mesh.head.basis"] == ir.DataType.FLOAT
    assert not any(name.endswith(":float16") for name in stored)
    assert traced.graph.initializers["backbone.conv1.weight"].dtype == ir.DataType.FLOAT


def test_all_products_but_the_answers_are_in_half(half: ir.Model, traced: ir.Model) -> None:
    full = {p.name for p in onnx_products(ir.to_proto(half)) if p.dtype == "float32"}
    assert full and all(name.startswith("mesh") or "regression/" in name for name in full)
    assert low_share(onnx_products(ir.to_proto(traced))) == 0


def test_bf16_is_valid_where_convolutions_take_no_bfloat16(brain: ir.Model) -> None:
    onnx.checker.check_model(ir.to_proto(brain), full_check=True)
    assert brain.opset_imports[""] <= MAX_OPSET
    for node in brain.graph:
        lowered = RECIPES["bf16"].type_of(module_of(node)) == "bfloat16"
        taken = {v.dtype for v in (*node.inputs, *node.outputs) if v is not None}
        if node.op_type in ("Conv", "MaxPool"):
            assert ir.DataType.BFLOAT16 not in taken, node.name
        elif node.op_type in ("MatMul", "Gemm", "Softmax", "LayerNormalization"):
            assert (ir.DataType.BFLOAT16 in taken) == lowered, node.name


def test_bf16_rounds_what_a_convolution_reads(brain: ir.Model, traced: ir.Model) -> None:
    convolutions = [node for node in brain.graph if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        source, weight = node.inputs[0], node.inputs[1]
        assert source is not None and weight is not None and weight.const_value is not None
        cast = source.producer()
        assert cast is not None and cast.inputs[0].dtype == ir.DataType.BFLOAT16, node.name
        values = weight.const_value.numpy()
        assert (values == values.astype(ml_dtypes.bfloat16)).all(), node.name
    exact = traced.graph.initializers["backbone.conv1.weight"].const_value
    stored = brain.graph.initializers["backbone.conv1.weight"].const_value
    assert exact is not None and stored is not None
    assert np.abs(exact.numpy() - stored.numpy()).max() > 0


def test_bfloat16_constants_are_raw_bytes(brain: ir.Model) -> None:
    # OpenVINO misreads those in `int32_data`
    stored = [t for t in ir.to_proto(brain).graph.initializer if t.data_type == 16]
    assert stored and all(t.raw_data and not t.int32_data for t in stored)


def test_emulated_bf16_rounds_more_than_fp16(
    brain: ir.Model, half: ir.Model, traced: ir.Model
) -> None:
    exact = run(lower(traced, RECIPES["fp32"]))
    moved = {
        name: float(np.abs(run_emulated(model)["landmarks"] - exact["landmarks"]).max())
        for name, model in (("fp16", half), ("bf16", brain))
    }
    assert 4 * moved["fp16"] < moved["bf16"] < 8


def run_emulated(model: ir.Model) -> dict[str, np.ndarray]:
    graph = emulate(ir.to_proto(model)).SerializeToString()
    return run_session(create_session(graph, "cpu", threads=1), {"image": IMAGES})


@pytest.mark.parametrize("recipe", ["fp16", "bf16"])
def test_the_emulated_graph_has_the_half_one_s_nodes_and_casts(
    recipe: str, mesh_bundle: ExportReport
) -> None:
    original = onnx.load(mesh_bundle.folder / f"{recipe}.onnx")
    emulated = {node.name: node for node in emulate(original).graph.node}
    for node in original.graph.node:
        twin = emulated.pop(node.name)
        # a Cast between types that are one now has nothing to do
        assert twin.op_type == node.op_type or (node.op_type, twin.op_type) == ("Cast", "Identity")
    assert {node.op_type for node in emulated.values()} == {"Cast"}


def test_both_forms_of_query_aware_memory_answer_the_same(traced: ir.Model) -> None:
    conv = lower(traced, replace(RECIPES["fp32"], qamem="conv"))
    matmul = lower(traced, replace(RECIPES["fp32"], qamem="matmul"))
    groups = [
        node.attributes["group"].as_int()
        for node in conv.graph
        if node.name and node.name.endswith("qamem/Conv")
    ]
    assert groups == [68, 68]
    assert not any(node.name and node.name.endswith("qamem/Conv") for node in matmul.graph)
    first, second = run(conv), run(matmul)
    for name in first:
        assert np.abs(first[name] - second[name]).max() < 1e-3, name
    assert np.ptp(first["landmarks"], axis=0).max() > 0.1


def test_a_fresh_network_takes_both_forms_too() -> None:
    """Its zeros and identities are equal constants, which torch's optimiser shares or drops; the
    constant start of both branches puts another reshaping behind the transforms."""
    config = mini(qamem="both", mqinit="none").network
    network = build_network(config).eval()
    traced = trace(Deployed(network, config), size=IMAGE_SIZE, batch=len(IMAGES))
    assert not set(SHAPE_OPERATORS) & set(node_counts(traced))
    expected = eager_answers(IMAGES, network, None)
    for form in get_args(QAMemForm):
        found = run(lower(traced, replace(RECIPES["fp32"], qamem=form)))
        for name in expected:
            assert np.abs(found[name] - expected[name]).max() < TOLERANCES["float32"][name]


def test_a_published_float32_graph_gives_every_recipe_that_the_traced_one_gives(
    traced: ir.Model, mesh_bundle: ExportReport
) -> None:
    """Its query-aware memory is a convolution; the recipes in half take the product."""
    published = ir.load(mesh_bundle.folder / "fp32.onnx")
    for recipe in (RECIPES["fp16"], RECIPES["fp32"]):
        found, expected = run(lower(published, recipe)), run(lower(traced, recipe))
        for name in expected:
            assert np.array_equal(found[name], expected[name]), (recipe.name, name)
    again, first = lower(published, RECIPES["fp16"]), lower(traced, RECIPES["fp16"])
    types = [{v.name: v.dtype for n in model.graph for v in n.outputs} for model in (again, first)]
    assert types[0] == types[1]


def test_the_grouped_convolution_can_be_in_half_too(traced: ir.Model) -> None:
    conv = lower(traced, replace(RECIPES["fp16"], qamem="conv"))
    kernel = conv.graph.initializers["landmark_branch.layers.0.qamem.kernel"]
    assert kernel.dtype == HALF
    run(conv)


def test_a_lowered_output_is_cast_back(traced: ir.Model) -> None:
    everything = Recipe(name="all", precision="float16", lowered=("*",))
    model = lower(traced, everything)
    assert {value.dtype for value in model.graph.outputs} == {ir.DataType.FLOAT}
    assert [v.name for v in model.graph.outputs] == [v.name for v in traced.graph.outputs]
    run(model)


def test_a_weight_too_large_for_half_is_refused(traced: ir.Model) -> None:
    model = traced.clone()
    value = model.graph.initializers["projection.conv.weight"]
    assert value.const_value is not None
    large = value.const_value.numpy().copy()
    large.flat[0] = 70000
    value.const_value = ir.tensor(large, name=value.name)
    with pytest.raises(UserError, match=r"projection\.conv\.weight reaches 7e\+04, beyond float16"):
        lower(model, RECIPES["fp16"])
    lower(model, RECIPES["fp32"])


def test_the_float32_graph_stays_as_it_is(traced: ir.Model) -> None:
    before = ir.to_proto(traced).SerializeToString()
    for recipe in RECIPES.values():
        lower(traced, recipe)
        lower(traced, replace(recipe, qamem="conv"))
    assert ir.to_proto(traced).SerializeToString() == before
