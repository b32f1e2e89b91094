import onnx
import onnx_ir as ir

from export.checks import SHAPE_OPERATORS
from export.deployed import Deployed
from export.exporting import ExportReport
from export.graph import node_counts
from export.modules import module_of
from trans3dhead.head.model import HeadModel
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.model import Trans3DHead

from .conftest import STATIC_BATCH


def test_nodes_are_named_by_modules(
    traced: ir.Model, network: Trans3DHead, config: NetworkConfig, head: HeadModel
) -> None:
    modules = {name for name, _ in Deployed(network, config, head=head).named_modules()}
    names = [node.name for node in traced.graph]
    assert len(set(names)) == len(names)
    assert {module_of(node) for node in traced.graph} <= modules
    assert "landmark_branch.layers.0.qamem/MatMul" in names
    assert "backbone.layer1.0.conv2/Conv" in names


def test_one_product_makes_all_keys_and_values(traced: ir.Model) -> None:
    products = [n for n in traced.graph if module_of(n) == "memory_projection.product"]
    assert [n.op_type for n in products if n.op_type in ("MatMul", "Gemm")] == ["MatMul"]


def test_norms_are_single_nodes_and_nothing_is_normalised_by_batch(traced: ir.Model) -> None:
    counts = node_counts(traced)
    assert counts["LayerNormalization"] == 11  # 6 a branch, less the one computed beforehand
    assert counts["Softmax"] == 7
    assert not {"BatchNormalization", "Pow", "ReduceVariance"} & set(counts)


def test_a_graph_holds_no_trace_of_where_it_was_made(mesh_bundle: ExportReport) -> None:
    for recipe in mesh_bundle.contract.recipes:
        model = onnx.load(mesh_bundle.folder / f"{recipe}.onnx")
        assert not model.doc_string and not model.metadata_props
        assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
        assert not any(value.metadata_props for value in model.graph.value_info)
        assert b"site-packages" not in model.SerializeToString()


def test_an_open_batch_has_its_name(traced: ir.Model) -> None:
    shapes = [value.shape for value in (*traced.graph.inputs, *traced.graph.outputs)]
    assert all(shape is not None and str(shape[0]) == "batch" for shape in shapes)


def test_an_open_batch_computes_no_shape(traced: ir.Model) -> None:
    assert not {*SHAPE_OPERATORS, "Gather"} & set(node_counts(traced))


def test_a_static_graph_computes_no_shape(static_bundle: ExportReport) -> None:
    for recipe, entry in static_bundle.contract.recipes.items():
        assert not {*SHAPE_OPERATORS, "Gather"} & set(entry.node_counts), recipe
        model = onnx.load(static_bundle.folder / f"{recipe}.onnx")
        dims = model.graph.output[0].type.tensor_type.shape.dim
        assert dims[0].dim_value == STATIC_BATCH
