import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines.bundle import CONTRACT_FILE, Bundle
from engines.contract import read_contract
from engines.errors import UserError
from engines.precision import onnx_products
from engines.tensor_types import tensor_types
from export.checks import CheckError
from export.exporting import ExportReport, export_bundle
from export.recipes import Recipe, write_recipe
from trans3dhead.head.model import HeadModel

from .conftest import STATIC_BATCH


def test_a_bundle_is_whole_and_says_what_it_is(mesh_bundle: ExportReport, head: HeadModel) -> None:
    bundle = Bundle.open(mesh_bundle.folder)
    contract = bundle.contract
    assert contract == mesh_bundle.contract
    assert set(contract.files) == {
        "fp32.onnx",
        "fp16.onnx",
        "fp16-backbone.onnx",
        "bf16.onnx",
        "int8-backbone.onnx",
        "head.npz",
        "reference.npz",
    }
    for name in contract.files:
        bundle.file(name)  # compares the hash
    assert {path.name for path in mesh_bundle.folder.iterdir()} == {*contract.files, CONTRACT_FILE}
    assert [spec.name for spec in contract.outputs] == [
        "landmarks",
        "params",
        "rotation",
        "vertices",
        "projected",
    ]
    assert contract.variant == "mesh" and contract.batch is None
    assert sum(contract.parameters.values()) == 413
    assert contract.head.sha256 == head.sha256 and not contract.head.included
    for name in contract.recipes:  # counted from the graph: the same in every recipe's
        products = onnx_products(onnx.load(bundle.graph(name)))
        assert contract.cost.flops == sum(product.flops for product in products)
    weights = contract.cost.weight_bytes
    assert weights["fp16"] < weights["fp16-backbone"] < weights["fp32"]
    for name, size in weights.items():
        assert 0 < mesh_bundle.sizes[f"{name}.onnx"] - size < 200_000
    assert contract.provenance.preset == "mini"
    assert contract.provenance.checkpoint == "mini.safetensors"
    assert contract.provenance.configuration["network"]["hidden"] == 32


def test_the_form_of_query_aware_memory_is_the_recipe_s(mesh_bundle: ExportReport) -> None:
    recipes = mesh_bundle.contract.recipes
    assert recipes["fp32"].qamem == "conv"
    assert recipes["fp16"].qamem == "matmul"
    assert recipes["fp32"].node_counts["Conv"] == recipes["fp16"].node_counts["Conv"] + 2
    assert recipes["fp32"].low_flops_share == 0
    assert recipes["fp16"].low_flops_share > recipes["fp16-backbone"].low_flops_share > 0


@pytest.mark.usefixtures("traced_before")
def test_a_recipe_of_one_s_own_is_exported_from_its_file(checkpoint: Path, tmp_path: Path) -> None:
    mine = Recipe(name="mine", precision="float16", lowered=("landmark_branch.layers.0.qamem",))
    write_recipe(tmp_path / "recipe.toml", mine)
    report = export_bundle(
        checkpoint,
        tmp_path / "out",
        variant="mesh",
        recipes=(str(tmp_path / "recipe.toml"),),
        batch=None,
        count=1,
    )
    entry = Bundle.open(report.folder).contract.recipes["mine"]
    assert (entry.precision, entry.lowered, entry.kept) == (mine.precision, mine.lowered, mine.kept)
    types = tensor_types(onnx.load(report.folder / "mine.onnx"))
    assert types["landmark_branch.layers.0.qamem/MatMul"].dtype == onnx.TensorProto.FLOAT16
    assert types["landmark_branch.layers.1.qamem/MatMul"].dtype == onnx.TensorProto.FLOAT


@pytest.mark.usefixtures("traced_before")
def test_progress_is_told_stage_by_stage(checkpoint: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    export_bundle(
        checkpoint,
        tmp_path / "out",
        variant="mesh",
        recipes=("fp32",),
        batch=None,
        count=9,
        progress=lambda *step: told.append(step),
    )
    stages = {stage: [step[1:] for step in told if step[0] == stage] for stage, *_ in told}
    assert list(stages) == ["reference images", "tracing", "largest values", "checks"]
    assert stages["reference images"] == [(done, 9) for done in range(10)]
    assert stages["tracing"] == [(0, 2), (1, 2), (2, 2)]
    assert stages["largest values"] == [(8, 9), (9, 9)]
    assert stages["checks"] == [(0, 1), (1, 1)]


def test_time_and_memory_are_measured(mesh_bundle: ExportReport) -> None:
    assert 0.1 < mesh_bundle.seconds < 600
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 100 * 2**20 < mesh_bundle.peak_memory <= 1024 * now


def test_head_arrays_hold_no_basis_unless_asked_for(
    mesh_bundle: ExportReport, static_bundle: ExportReport
) -> None:
    for report in (mesh_bundle, static_bundle):
        arrays = Bundle.open(report.folder).head_arrays()
        assert "faces" in arrays and "shape_directions" not in arrays


def test_the_reference_fits_its_graphs(static_bundle: ExportReport) -> None:
    reference = Bundle.open(static_bundle.folder).reference()
    assert len(reference) == 5
    assert reference.images.dtype == np.uint8
    assert set(reference.outputs()) == {"landmarks", "params", "rotation"}
    assert reference.truth_landmarks is not None and reference.truth_landmarks.shape == (5, 68, 2)
    assert static_bundle.contract.batch == STATIC_BATCH


def test_another_process_writes_the_same_bytes(
    static_bundle: ExportReport, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    words = ["export", checkpoint, out, "--batch", STATIC_BATCH, "--count", 5]
    words += ["--recipes", *static_bundle.contract.recipes]
    command = [sys.executable, "-m", "trans3dhead.cli.main", *map(str, words)]
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("fp32.onnx", "fp16.onnx", "int8-backbone.onnx", "head.npz"):
        assert (out / name).read_bytes() == (static_bundle.folder / name).read_bytes(), name
    first, second = (read_contract(f / CONTRACT_FILE) for f in (static_bundle.folder, out))
    # somebody may commit meanwhile; eager answers may differ in the last bit by threads
    provenance, files, largest = first.provenance, first.files, first.largest
    assert replace(second, provenance=provenance, files=files, largest=largest) == first
    assert second.largest == pytest.approx(largest, rel=1e-3)
    assert second.provenance.checkpoint_sha256 == provenance.checkpoint_sha256


@pytest.mark.usefixtures("traced_before")
@pytest.mark.parametrize("step", ["check_graphs", "node_counts", "to_json"])
def test_a_failure_at_any_step_leaves_nothing(
    step: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CheckError(["landmarks are wrong"])

    monkeypatch.setattr(f"export.exporting.{step}", fail)
    if step == "to_json":
        monkeypatch.setattr("export.exporting.check_graphs", lambda *_, **__: {})
    with pytest.raises(CheckError):
        export_bundle(checkpoint, tmp_path / "out", variant="mesh", batch=None, count=1)
    assert list(tmp_path.iterdir()) == []


Change = Callable[[Path, Path], dict[str, Any]]


def _missing(folder: Path, checkpoint: Path) -> dict[str, Any]:
    return {"checkpoint": folder / "absent.safetensors"}


def _truncated(folder: Path, checkpoint: Path) -> dict[str, Any]:
    cut = folder / "cut.safetensors"
    cut.write_bytes(checkpoint.read_bytes()[:50_000])
    return {"checkpoint": cut}


def _taken(folder: Path, checkpoint: Path) -> dict[str, Any]:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("work")
    return {}


def _other_head(folder: Path, checkpoint: Path) -> dict[str, Any]:
    from trans3dhead.head.builtin import builtin_head

    head = replace(builtin_head(), template=builtin_head().template * 1.1)
    head.save(folder / "head.npz")
    return {"head": folder}


def _no_data(folder: Path, checkpoint: Path) -> dict[str, Any]:
    return {"reference": folder}


def _mistyped_recipe(folder: Path, checkpoint: Path) -> dict[str, Any]:
    mine = Recipe(name="mine", precision="float16", lowered=("backbonne",))
    write_recipe(folder / "mine.toml", mine)
    return {"recipes": ("fp32", str(folder / "mine.toml"))}


BAD: list[tuple[Change, str]] = [
    (_missing, r"absent\.safetensors does not exist; expected a checkpoint"),
    (_truncated, r"cut\.safetensors is not a whole safetensors file"),
    (_taken, r"out exists already; expected a new folder"),
    (_other_head, r"head model 'builtin' .* came; expected 'builtin'"),
    (_no_data, r"holds no folder DAD-3DHeadsDataset"),
    (lambda *_: {"recipes": ("fp32", "fp8")}, r"recipe 'fp8' is unknown; expected one of fp32,"),
    (_mistyped_recipe, r"recipe mine: no module .* 'backbonne' \(near it: backbone"),
    (lambda *_: {"recipes": ()}, r"no recipe came"),
    (lambda *_: {"recipes": ("fp32", "fp32")}, r"expected each once"),
    (lambda *_: {"variant": "faces"}, r"variant 'faces' came; expected params or mesh"),
    (lambda *_: {"batch": 0}, r"batch 0 came; expected 1 or more"),
    (lambda *_: {"count": 0}, r"count 0 came; expected 1 or more"),
    (lambda *_: {"reference": Path("x"), "split": "train"}, r"--split train came"),
]


@pytest.mark.parametrize(
    ("change", "message"), BAD, ids=lambda value: getattr(value, "__name__", "")
)
def test_bad_input_is_refused_before_minutes_are_spent(
    *,
    change: Change,
    message: str,
    checkpoint: Path,
    tmp_path: Path,
    untraced: Callable[[], bool],
) -> None:
    changed = change(tmp_path, checkpoint)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    given: dict[str, Any] = {"checkpoint": checkpoint, "out": tmp_path / "out", "count": 2}
    with pytest.raises(UserError, match=message) as caught:
        export_bundle(**given | changed)
    assert "\n" not in str(caught.value)
    assert not untraced()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
