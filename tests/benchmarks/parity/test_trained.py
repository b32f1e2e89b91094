"""The demo's trained network: its honest engines pass, a damaged one does not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support import Demo

from benchmarks.parity.results import ParityReport
from engines.bundle import CONTRACT_FILE, Bundle
from engines.files import sha256_of, write_whole
from engines.manifest import read_manifest, write_manifest
from trans3dhead.cli.main import execute, main

FIRST_RESIDUAL = "landmark_branch.regression.weights.0"


@pytest.fixture
def half(demo: Demo, tmp_path: Path) -> Path:
    """A copy of the demo's half-precision engine, in its bundle."""
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle")
    return bundle / "engines" / demo.engine("fp16").name


def scale_weight(engine: Path, name: str, factor: float) -> None:
    """Multiply a weight of an engine's graph and seal the manifest anew."""
    path = engine / read_manifest(engine).file
    model = onnx.load(path)
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith(name))
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), weight.name))
    onnx.save(model, path)
    manifest = read_manifest(engine)
    write_manifest(engine, replace(manifest, files={manifest.file: sha256_of(path)}))


def test_a_residual_head_scaled_by_five_per_cent_fails(half: Path, capsys) -> None:
    scale_weight(half, FIRST_RESIDUAL, 1.05)
    assert main(["verify", str(half)]) == 1
    out = capsys.readouterr().out
    assert "landmarks/movement_p99: fail" in out
    assert read_manifest(half).parity["verdict"] == "fail"


def rewire(engine: Path, *nodes: onnx.NodeProto, constants: dict[str, np.ndarray]) -> None:
    """Put nodes between an engine's image and its network, the last of them giving "altered"."""
    path = engine / read_manifest(engine).file
    model = onnx.load(path)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "image":
                node.input[place] = "altered"
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    onnx.save(model, path)
    manifest = read_manifest(engine)
    write_manifest(engine, replace(manifest, files={manifest.file: sha256_of(path)}))


def test_bgr_in_the_place_of_rgb_fails(half: Path) -> None:
    swap = onnx.helper.make_node("Gather", ["image", "backwards"], ["altered"], axis=3)
    rewire(half, swap, constants={"backwards": np.array([2, 1, 0])})
    failed = gates_that_fail(execute("verify", [str(half)]).report)
    assert {"landmarks/movement_p99", "rotation/movement_p99", "vertices/movement_p99"} <= failed


def test_one_pixel_of_crop_shift_fails(half: Path) -> None:
    size = read_size(half)
    image = onnx.helper.make_node("Slice", ["image", "first", "last", "columns"], ["most"])
    shifted = onnx.helper.make_node("Concat", ["edge", "most"], ["altered"], axis=2)
    edge = onnx.helper.make_node("Slice", ["image", "first", "second", "columns"], ["edge"])
    ends = {"first": 0, "second": 1, "last": size - 1, "columns": 2}
    constants = {name: np.array([value]) for name, value in ends.items()}
    rewire(half, image, edge, shifted, constants=constants)
    failed = gates_that_fail(execute("verify", [str(half)]).report)
    assert {"landmarks/movement_p99", "projected/movement_p99"} <= failed


def test_float32_in_the_place_of_half_fails(demo: Demo, tmp_path: Path, capsys) -> None:
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle")
    words = ["build", str(bundle), "--recipe", "fp16", "--half", "native", "--verify"]
    before = read_manifest(bundle / "engines" / demo.engine("fp16").name)
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "engine/precision: fail" in out and "effective float32" in out
    assert read_manifest(bundle / "engines" / before.name) == before


@pytest.mark.parametrize("runtime", ["onnxruntime", "tensorrt-rtx"])
def test_half_in_the_place_of_float32_is_not_built(
    runtime: str, demo: Demo, tmp_path: Path, capsys
) -> None:
    """A bundle whose fp32 graph is the fp16 one, sealed anew. OpenVINO would compute in float32."""
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle")
    shutil.copy(bundle / "fp16.onnx", bundle / "fp32.onnx")
    contract = json.loads((bundle / CONTRACT_FILE).read_text())
    contract["files"]["fp32.onnx"] = contract["files"]["fp16.onnx"]
    write_whole(bundle / CONTRACT_FILE, json.dumps(contract))
    shutil.rmtree(bundle / "engines")
    assert main(["build", str(bundle), "--recipe", "fp32", "--runtime", runtime]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "of its FLOPs in half; the recipe promises 0.0%; export the bundle anew" in line
    assert not any((bundle / "engines").glob("*/manifest.json"))


def gates_that_fail(report: ParityReport) -> set[str]:
    return {gate.name for gate in report.with_verdict("fail")}


def read_size(engine: Path) -> int:
    """Side of the crop."""
    return Bundle.open(engine.parent.parent).contract.image.size


FOREIGN = """
[input]
size = {size}
layout = "NHWC"
dtype = "uint8"
divide = 1
[outputs]
landmarks = {{ name = "landmarks", frame = "crop" }}
params = {{ name = "params" }}
vertices = {{ name = "vertices" }}
"""


def test_a_foreign_model_is_measured_on_labelled_images(demo: Demo, tmp_path: Path) -> None:
    """The demo's own graph, taken for a stranger's, has the metrics its engine has."""
    adapter = tmp_path / "adapter.toml"
    adapter.write_text(FOREIGN.format(size=read_size(demo.engine("fp32"))))
    data = ["--data", str(demo.folder / "heads"), "--limit", "8"]
    words = [str(demo.mesh / "fp32.onnx"), "--adapter", str(adapter), *data]
    foreign = execute("verify", words).data
    ours = execute("evaluate", [str(demo.engine("fp32")), *data]).data
    assert foreign["metrics"] == pytest.approx(ours["metrics"])
    assert set(foreign["metrics"]) == {"nme", "z5_published", "z5_defined", "chamfer", "pose_error"}


def test_the_same_engine_passes_by_its_checkpoint_on_other_images(demo: Demo, half: Path) -> None:
    report = judged_by(half, demo.checkpoint, demo, limit=24)
    assert report.passed, report.headline
    assert report.images == 24
    assert str(demo.checkpoint) in report.subject.reference


def test_an_engine_of_another_checkpoint_fails(demo: Demo, half: Path, tmp_path: Path) -> None:
    from trans3dhead.training.checkpoint import CheckpointRecord, load_checkpoint, save_checkpoint

    loaded = load_checkpoint(demo.checkpoint)
    rng = np.random.default_rng(0)
    for parameter in loaded.network.landmark_branch.parameters():
        parameter.data *= 1 + 0.05 * float(rng.standard_normal())
    other = tmp_path / "other.safetensors"
    record = CheckpointRecord(
        preset=loaded.preset,
        head=loaded.head,
        items=loaded.items,
        samples_seen=loaded.samples_seen,
        minutes=loaded.minutes,
    )
    save_checkpoint(other, loaded.network, record)
    report = judged_by(half, other, demo, limit=8)
    failed = {gate.name for gate in report.with_verdict("fail")}
    assert "landmarks/movement_p99" in failed
    assert not any(name.startswith(("params", "rotation", "vertices")) for name in failed)


def judged_by(engine: Path, checkpoint: Path, demo: Demo, *, limit: int) -> ParityReport:
    words = ["--checkpoint", checkpoint, "--data", demo.folder / "heads", "--limit", limit]
    return execute("verify", [str(word) for word in (engine, *words)]).report


def test_a_checkpoint_without_data_is_refused(demo: Demo, half: Path, capsys) -> None:
    words = ["verify", str(half), "--checkpoint", str(demo.checkpoint)]
    assert main(words) == 2
    assert main([*words, "--data", str(demo.folder / "none")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "expected both or neither" in lines[0]
