"""The walk names the part that was damaged, in every engine whose inside can be seen."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support import Demo, WithoutTorch

from benchmarks.parity.walk import walk
from benchmarks.report.walk_pieces import walk_section, walk_table
from engines.bundle import CONTRACT_FILE
from engines.contract import read_contract
from engines.files import sha256_of, write_whole
from engines.manifest import read_manifest, write_manifest
from engines.records import to_json
from export.modules import STEM, modules_of, part_of
from trans3dhead.cli.main import execute, main


@pytest.fixture
def half(demo: Demo, tmp_path: Path) -> Path:
    """A copy of the demo's half-precision engine, in its bundle."""
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle")
    return bundle / "engines" / demo.engine("fp16").name


def damage(engine: Path, weight: str, factor: float) -> None:
    """Multiply a weight of an engine's graph and seal the manifest anew."""
    manifest = read_manifest(engine)
    path = engine / manifest.file
    model = onnx.load(path)
    (found,) = (tensor for tensor in model.graph.initializer if tensor.name == weight)
    values = numpy_helper.to_array(found)
    found.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), weight))
    onnx.save(model, path)
    write_manifest(engine, replace(manifest, files={manifest.file: sha256_of(path)}))


def test_an_honest_half_engine_loses_a_little_everywhere(demo: Demo) -> None:
    found = walk(demo.engine("fp16"), images=4)
    parts = {part.part: part for part in found.parts}
    assert {"backbone.layer1", "projection", "parameter_branch.layers.1.cross_attention"} <= set(
        parts
    )
    assert not found.unseen and found.images == 4
    for part in found.parts:
        assert part.error_out is not None and part.error_out < 0.01
        assert part.amplification is not None and part.amplification < 10
    assert parts["normalise"].error_in is None and parts["normalise"].error_out == 0
    assert parts["backbone.layer2"].error_in == parts["backbone.layer1"].error_out
    exact = walk(demo.engine("fp32"), images=4)
    assert all(part.error_out is not None and part.error_out < 1e-5 for part in exact.parts)


@pytest.mark.parametrize(
    ("weight", "part"),
    [
        ("backbone.layer3.0.conv2.weight", "backbone.layer3"),
        ("landmark_branch.layers.0.feedforward.linear2.weight", None),
        ("parameter_branch.layers.1.cross_attention.q_proj.weight", None),
        ("mesh.head.basis", "mesh"),
    ],
)
def test_a_damaged_part_is_named(half: Path, weight: str, part: str | None) -> None:
    part = part or weight.rsplit(".", 2)[0]
    damage(half, weight, 1.5)
    found = walk(half, images=4)
    assert found.suspect.part == part
    assert found.headline.startswith(f"the error grows most in {part}: from ")


def test_the_first_part_that_overflows_is_named_not_those_that_follow(half: Path) -> None:
    damage(half, "parameter_branch.layers.1.self_attention.qkv_proj.weight", 1e8)
    found = walk(half, images=4)
    name = "parameter_branch.layers.1.self_attention"
    assert found.suspect.part == name and found.suspect.not_finite
    assert found.suspect.error_out is None
    broken = [part.part for part in found.parts if part.not_finite]
    assert broken[0] == name and len(broken) > 3
    assert found.headline == f"{name} is the first to give numbers that are not finite"
    assert walk_table(found).markdown().count("| - |") and walk_section(found).body


def test_openvino_is_looked_into_itself(demo: Demo, tmp_path: Path) -> None:
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle")
    engine = bundle / "engines" / "openvino-fp32"
    found = walk(engine, images=4, threads=1)
    assert "by OpenVINO" in found.where and not found.unseen
    assert max(part.error_out or 0.0 for part in found.parts) < 1e-4
    weights = engine / "model.bin"
    raw = bytearray(weights.read_bytes())
    (basis,) = (
        tensor
        for tensor in onnx.load(bundle / "fp32.onnx").graph.initializer
        if tensor.name == "parameter_branch.layers.0.feedforward.linear1.bias"
    )
    values = numpy_helper.to_array(basis)
    place = raw.find(values.tobytes())
    assert place > 0
    raw[place : place + values.nbytes] = (values + 1).astype(np.float32).tobytes()
    write_whole(weights, bytes(raw))
    manifest = read_manifest(engine)
    write_manifest(
        engine, replace(manifest, files=manifest.files | {"model.bin": sha256_of(weights)})
    )
    damaged = walk(engine, images=4, threads=1)
    assert damaged.suspect.part == "parameter_branch.layers.0.feedforward"


def test_a_plan_that_shows_nothing_is_stood_in_for_and_that_is_said(half: Path) -> None:
    write_manifest(half, replace(read_manifest(half), runtime="tensorrt", provider="tensorrt"))
    found = walk(half, images=2)
    assert found.where.startswith("the graph of recipe fp16, emulated by ONNX Runtime")
    assert "tensorrt" in found.where


def test_the_command_shows_it_everywhere(
    demo: Demo, half: Path, tmp_path: Path, without_torch: WithoutTorch
) -> None:
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    words = ["--walk", "--limit", "32", "--html", page, "--markdown", text]
    done = without_torch("verify", half, *words)
    assert done.returncode == 0, done.stderr
    for shown in (done.stdout, page.read_text(), text.read_text()):
        assert "parameter_branch.layers.1.self_attention" in shown
        assert "the error grows most in" in shown.replace("The error", "the error")
    outcome = execute("verify", [str(demo.engine("fp16")), "--limit", "8"])
    assert outcome.data["walk"] is None


def test_without_the_float32_graph_there_is_nothing_to_hold_it_against(
    half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = half.parent.parent
    contract = read_contract(bundle / CONTRACT_FILE)
    recipes = {name: entry for name, entry in contract.recipes.items() if name != "fp32"}
    write_whole(bundle / CONTRACT_FILE, to_json(replace(contract, recipes=recipes)))
    manifest = read_manifest(half)
    write_manifest(half, replace(manifest, contract_sha256=sha256_of(bundle / CONTRACT_FILE)))
    assert main(["verify", str(half), "--walk", "--limit", "8"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("export with `--recipes fp32 fp16`")


def test_a_foreign_model_has_no_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", "peer.onnx", "--adapter", "peer.toml", "--bundle", "b", "--walk"]
    assert main(words) == 2
    assert "leave --walk out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("backbone.conv1", STEM),
        ("backbone.maxpool", STEM),
        ("backbone.layer3.5.downsample.0", "backbone.layer3"),
        ("landmark_branch.layers.0.cross_add_norm.norm", "landmark_branch.layers.0.cross_add_norm"),
        ("parameter_branch.regression", "parameter_branch.regression"),
        ("encoder.1.feedforward.linear1", "encoder.1.feedforward"),
        ("memory_projection.product", "memory_projection"),
        ("mesh.head", "mesh"),
        ("", ""),
    ],
)
def test_modules_belong_to_parts(module: str, part: str) -> None:
    assert part_of(module) == part
    if part:
        assert all(part_of(name) == part for name in modules_of(part))
