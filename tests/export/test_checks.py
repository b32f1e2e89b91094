import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines.bundle import Bundle, Reference
from engines.contract import Contract
from export import checks
from export.checks import Candidate, CheckError, check_graphs, form_faults
from export.exporting import ExportReport
from export.recipes import RECIPES


@pytest.fixture
def copied(mesh_bundle: ExportReport, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mesh_bundle.folder, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def contract(mesh_bundle: ExportReport) -> Contract:
    return mesh_bundle.contract


@pytest.fixture(scope="module")
def reference(mesh_bundle: ExportReport) -> Reference:
    return Bundle.open(mesh_bundle.folder).reference()


def candidates(folder: Path) -> list[Candidate]:
    return [
        Candidate(recipe="fp32", precision="float32", path=folder / "fp32.onnx"),
        Candidate(recipe="fp16", precision="float16", path=folder / "fp16.onnx"),
    ]


def scale(path: Path, name: str, factor: float) -> None:
    model = onnx.load(path)
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), name))
    onnx.save(model, path)


def test_honest_graphs_pass(mesh_bundle: ExportReport) -> None:
    assert set(mesh_bundle.differences) == set(RECIPES)
    found = mesh_bundle.differences["fp32"]
    assert set(found) == {"landmarks", "params", "rotation", "vertices", "projected"}
    assert all(found[name] <= checks.TOLERANCES["float32"][name] for name in found)
    # in half something must move, or nothing was rounded
    assert mesh_bundle.differences["fp16"]["landmarks"] > 10 * found["landmarks"]


def test_one_scaled_weight_is_caught_and_all_is_said_at_once(
    copied: Path, contract: Contract, reference: Reference
) -> None:
    scale(copied / "fp32.onnx", "landmark_branch.regression.weights.0", 1.05)
    scale(copied / "fp16.onnx", "mesh.head.basis", 10.0)
    with pytest.raises(CheckError) as caught:
        check_graphs(candidates(copied), contract, reference)
    faults = caught.value.faults
    by_batch = [f for f in faults if f.startswith("fp32: landmarks differs by")]
    assert [f.split(" at batch ")[1].split(",")[0] for f in by_batch] == ["1", "3", "8", "32"]
    assert any(f.startswith("fp16: vertices differs by") for f in faults)
    assert not any("params" in f for f in faults)
    assert all(fault in str(caught.value) for fault in faults)
    assert "\n" not in str(caught.value)


def test_answers_that_are_no_numbers_are_caught(
    copied: Path, contract: Contract, reference: Reference
) -> None:
    scale(copied / "fp32.onnx", "projection.conv.weight", np.nan)
    with pytest.raises(CheckError, match="landmarks differs by nan"):
        check_graphs(candidates(copied)[:1], contract, reference)


def put_behind_landmarks(path: Path, nodes: list[onnx.NodeProto], **constants: np.ndarray) -> None:
    """Nodes that take `true` and give `landmarks`, between what was that output and the output."""
    model = onnx.load(path)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["true" if name == "landmarks" else name for name in names]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items())
    onnx.save(model, path)


def test_a_graph_that_is_right_at_small_batches_only_is_caught(
    copied: Path, contract: Contract, reference: Reference
) -> None:
    """From the ninth image on it answers what the eighth is."""
    node = onnx.helper.make_node
    nodes = [
        node("Shape", ["true"], ["sizes"], start=0, end=1),
        node("Squeeze", ["sizes"], ["batch"]),
        node("Range", ["zero", "batch", "one"], ["rows"]),
        node("Min", ["rows", "last"], ["kept"]),
        node("Gather", ["true", "kept"], ["landmarks"], axis=0),
    ]
    numbers = {name: np.array(value) for name, value in {"zero": 0, "one": 1, "last": 7}.items()}
    put_behind_landmarks(copied / "fp32.onnx", nodes, **numbers)
    with pytest.raises(CheckError) as caught:
        check_graphs(candidates(copied)[:1], contract, reference)
    (fault,) = caught.value.faults
    assert fault.startswith("fp32: landmarks differs by")
    assert "at batch 32" in fault


def test_a_batch_baked_into_a_shape_is_caught(
    copied: Path, contract: Contract, reference: Reference
) -> None:
    """It loads, answers one image, and stops at the next size."""
    reshape = onnx.helper.make_node("Reshape", ["true", "sizes"], ["landmarks"])
    put_behind_landmarks(copied / "fp32.onnx", [reshape], sizes=np.array([1, 68, 2]))
    model = onnx.load(copied / "fp32.onnx")
    del model.graph.value_info[:]
    onnx.save(model, copied / "fp32.onnx")
    with pytest.raises(CheckError) as caught:
        check_graphs(candidates(copied)[:1], contract, reference)
    refused = [fault for fault in caught.value.faults if "ONNX Runtime does not run" in fault]
    assert [fault.split(" (")[0].split()[-1] for fault in refused] == ["3", "8", "32"]


def test_an_operator_that_onnx_runtime_lacks_is_caught(
    copied: Path, contract: Contract, reference: Reference
) -> None:
    """Valid ONNX: an error function in double."""
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["true"], ["wide"], to=onnx.TensorProto.DOUBLE),
        node("Erf", ["wide"], ["erf"]),
        node("Cast", ["erf"], ["landmarks"], to=onnx.TensorProto.FLOAT),
    ]
    put_behind_landmarks(copied / "fp32.onnx", nodes)
    with pytest.raises(CheckError, match="fp32: ONNX Runtime does not load it"):
        check_graphs(candidates(copied)[:1], contract, reference)


def test_a_static_graph_is_asked_for_its_own_size_too(contract: Contract) -> None:
    assert checks.batches(contract) == [1, 3, 8, 32]
    assert checks.batches(replace(contract, batch=16)) == [1, 3, 8, 16]


def test_a_broken_file_is_a_fault_like_any_other(
    copied: Path, contract: Contract, reference: Reference
) -> None:
    model = onnx.load(copied / "fp32.onnx")
    model.graph.node[5].input[0] = "nothing"
    onnx.save(model, copied / "fp32.onnx")
    with pytest.raises(CheckError, match=r"1 of the checks.*fp32: not valid ONNX"):
        check_graphs(candidates(copied), contract, reference)


def test_form_is_held_to_the_contract(mesh_bundle: ExportReport, contract: Contract) -> None:
    model = onnx.load(mesh_bundle.folder / "fp16.onnx")
    assert list(form_faults(model, contract)) == []
    model.opset_import[0].version = 21
    model.ir_version = 11
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    model.graph.output[2].type.tensor_type.shape.dim[0].dim_value = 4
    assert list(form_faults(model, contract)) == [
        "IR version 11, expected at most 10",
        "opset ai.onnx 21, expected at most 20",
        "input image is float32 ['batch', 64, 64, 3]; expected uint8 ['batch', 64, 64, 3]",
        "output rotation is float32 [4, 3, 3]; expected float32 ['batch', 3, 3]",
    ]
    model.graph.output[0].name = "points"
    assert any("outputs are points, params" in fault for fault in form_faults(model, contract))


def test_a_static_graph_may_not_compute_shapes(
    mesh_bundle: ExportReport, contract: Contract
) -> None:
    model = onnx.load(mesh_bundle.folder / "fp32.onnx")
    model.graph.node.append(onnx.helper.make_node("Shape", ["image"], ["sizes"]))
    faults = list(form_faults(model, replace(contract, batch=1)))
    assert any(fault.startswith("a static graph computes shapes (") for fault in faults)


def test_tensorrt_rtx_parses_every_graph_and_refuses_what_it_cannot(
    mesh_bundle: ExportReport, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    for recipe in mesh_bundle.contract.recipes:
        assert checks.parse_faults(mesh_bundle.folder / f"{recipe}.onnx") == []
    model = onnx.load(mesh_bundle.folder / "fp32.onnx")
    model.graph.node[-1].op_type = "Bernoulli2"
    onnx.save(model, tmp_path / "wrong.onnx")
    (fault,) = checks.parse_faults(tmp_path / "wrong.onnx")
    assert fault.startswith("TensorRT-RTX does not parse it (")
