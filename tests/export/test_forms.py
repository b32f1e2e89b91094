"""`--qamem auto`: the recipe's own form where every runtime here builds it, else the other."""

import shutil
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from engines.building import build_engine
from engines.errors import BuildError, UserError
from export import forms
from export.exporting import ExportReport, export_bundle
from export.forms import LOADERS, buildable_form
from export.lowering import lower
from export.recipes import QAMemForm, Recipe


@pytest.fixture
def write(traced: ir.Model, tmp_path: Path):
    """Writes the mini network in a form."""

    def written(form: QAMemForm) -> Path:
        path = tmp_path / f"{form}.onnx"
        path.write_bytes(
            ir.to_proto(lower(traced, Recipe(name=form, qamem=form))).SerializeToString()
        )
        return path

    return written


def refusing(*kinds: str):
    """A runtime that cannot build graphs with groups of convolutions, or batched products."""

    def load(graph: str) -> None:
        for node in onnx.load(graph).graph.node:
            if "qamem" in node.name and node.op_type in kinds:
                raise ValueError(f"no kernel for {node.name}")

    return load


def test_what_builds_everywhere_keeps_its_form(write) -> None:
    """With the real runtimes that are here."""
    assert buildable_form(write, "conv") == "conv"
    assert buildable_form(write, "matmul") == "matmul"


def test_what_one_runtime_refuses_takes_the_other_form(write, monkeypatch) -> None:
    monkeypatch.setattr(forms, "LOADERS", {"a runtime": ("json", refusing("Conv"))})
    assert buildable_form(write, "conv") == "matmul"
    assert buildable_form(write, "matmul") == "matmul"


def test_a_runtime_that_is_not_installed_is_not_asked(write, monkeypatch) -> None:
    monkeypatch.setattr(forms, "LOADERS", {"absent": ("no_such_module", refusing("Conv"))})
    assert buildable_form(write, "conv") == "conv"


def test_no_form_is_left(write, monkeypatch) -> None:
    monkeypatch.setattr(forms, "LOADERS", {"a runtime": ("json", refusing("Conv", "MatMul"))})
    with pytest.raises(UserError, match=r"as conv: a runtime \(no kernel.*as matmul: a runtime"):
        buildable_form(write, "conv")


@pytest.mark.parametrize("name", LOADERS)
def test_every_runtime_refuses_what_is_no_graph(name: str, tmp_path: Path) -> None:
    module, load = LOADERS[name]
    pytest.importorskip(module)
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(Exception, match=r"."):
        load(str(tmp_path / "broken.onnx"))


@pytest.mark.usefixtures("traced_before")
def test_the_bundle_has_the_form_that_builds(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "LOADERS", {"a runtime": ("json", refusing("Conv"))})
    wish = {"variant": "mesh", "batch": None, "recipes": ("fp32",), "count": 2}
    report = export_bundle(checkpoint, tmp_path / "bundle", qamem="auto", **wish)
    assert report.contract.recipes["fp32"].qamem == "matmul"  # its own is conv


def test_a_runtime_that_cannot_build_a_form_names_the_other(
    mesh_bundle: ExportReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(mesh_bundle.folder, tmp_path / "bundle")
    said = ["no kernel for landmark_branch.layers.0.qamem/Conv"]

    def refuse(*_: object, **__: object) -> None:
        raise BuildError(said[0])

    monkeypatch.setattr("engines.onnxruntime_engine.OnnxRuntime.build", refuse)
    with pytest.raises(BuildError, match="memory as conv; export with `--qamem matmul`"):
        build_engine(bundle, "fp32", "onnxruntime")
    said[0] = "no memory is left"
    with pytest.raises(BuildError) as error:
        build_engine(bundle, "fp32", "onnxruntime")
    assert "--qamem" not in str(error.value)
