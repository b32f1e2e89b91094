"""A peer's model, in its own frames, is judged as an engine is; what does not fit is said."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.foreign.engine import open_foreign
from benchmarks.foreign.judging import verify_foreign
from benchmarks.throughput.rows import open_rows
from engines.errors import UserError
from trans3dhead.cli.main import main
from trans3dhead.head.layout import LAYOUT_413

SIZE, IMAGES = 32, 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

ADAPTER = """
precision = "float32"
[input]
size = 32
layout = "NCHW"
color = "BGR"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[outputs.landmarks]
name = "points"
frame = "unit"
[outputs.params]
name = "3dmm"
order = ["rotation", "shape", "expression", "jaw", "scale", "translation"]
[outputs.rotation]
name = "R"
form = "transposed"
[outputs.vertices]
name = "mesh"
unit = "mm"
[outputs.projected]
name = "mesh2d"
frame = "centred"
"""
"""What `peer_answers` are; the model sees BGR, channels first, normalised."""

Answers = dict[str, np.ndarray]


def peer_answers(answers: Answers) -> Answers:
    """The reference's answers as the peer would give them."""
    params, layout = answers["params"], LAYOUT_413
    groups = (
        params[:, layout.rotation],
        params[:, layout.shape_slice],
        params[:, layout.expression_slice],
        params[:, layout.jaw_slice],
        params[:, layout.scale],
        params[:, layout.translation],
    )
    return {
        "points": answers["landmarks"] / SIZE,
        "3dmm": np.concatenate(groups, axis=1),
        "R": np.ascontiguousarray(answers["rotation"].transpose(0, 2, 1)),
        "mesh": answers["vertices"] * 1000,
        "mesh2d": answers["projected"] * 2 / SIZE - 1,
    }


def peer_graph(answers: Answers, *, batch: str | int = "batch") -> bytes:
    """ONNX: [batch, 3, S, S] float32 BGR, normalised, to the rows that its red corner names."""
    from onnx import helper, numpy_helper

    constants, nodes = [], []

    def constant(name: str, value: Any, dtype: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    value = node("Gather", "input", constant("red", 2, np.int64), axis=1)
    for _ in range(2):
        value = node("Gather", value, constant(f"zero{len(nodes)}", 0, np.int64), axis=1)
    value = node("Mul", value, constant("std", STD[0] * 255))
    value = node("Round", node("Add", value, constant("mean", MEAN[0] * 255)))
    row = node("Mod", node("Cast", value, to=7), constant("count", IMAGES, np.int64))
    outputs = []
    for name, table in answers.items():
        nodes.append(helper.make_node("Gather", [constant(f"{name}.table", table), row], [name]))
        outputs.append(helper.make_tensor_value_info(name, 1, [batch, *table.shape[1:]]))
    image = helper.make_tensor_value_info("input", 1, [batch, 3, SIZE, SIZE])
    graph = helper.make_graph(nodes, "peer", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()


@dataclass(frozen=True)
class Peer:
    """A bundle, and beside it a peer's model that answers as its reference does."""

    bundle: Path
    folder: Path
    answers: Answers

    def onnx(self, **other: Any) -> Path:
        path = self.folder / "peer.onnx"
        path.write_bytes(peer_graph(self.answers, **other))
        return path

    def adapter(self, *changes: tuple[str, str]) -> Path:
        """The right adapter, some of its text replaced."""
        text = ADAPTER
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = self.folder / "peer.toml"
        path.write_text(text)
        return path


@pytest.fixture
def peer(workshops, tmp_path: Path) -> Peer:
    workshop = workshops("mesh")
    return Peer(workshop.bundle, tmp_path, peer_answers(workshop.answers))


def test_a_peer_that_answers_alike_passes_in_its_own_frames(peer: Peer) -> None:
    report = verify_foreign(peer.onnx(), peer.adapter(), peer.bundle)
    assert report.passed, report.headline
    assert {tensor.output for tensor in report.tensors} == {
        "landmarks",
        "params",
        "rotation",
        "vertices",
        "projected",
    }
    (gate,) = report.with_verdict("not measured")
    assert gate.name == "engine/precision" and "its adapter says" in gate.reason
    assert report.subject.runtime == "onnxruntime" and report.subject.recipe == "foreign"
    assert report.subject.margins_section == "fp32"


WRONG = {
    "another colour order": (('"BGR"', '"RGB"'), "landmarks/movement_p99"),
    "another mean": (("mean = [0.485", "mean = [0.185"), "landmarks/movement_p99"),
    "another frame": (('frame = "unit"', 'frame = "centred"'), "landmarks/movement_p99"),
    "another unit": (('unit = "mm"', 'unit = "cm"'), "vertices/movement_p99"),
    "another order": (('"jaw", "scale", "tr', '"scale", "jaw", "tr'), "params/placement_p99"),
    "a transposed rotation": (('form = "transposed"', 'form = "matrix"'), "rotation/pose_error"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_adapter_fails_in_the_gate_of_its_output(peer: Peer, name: str) -> None:
    change, gate = WRONG[name]
    report = verify_foreign(peer.onnx(), peer.adapter(change), peer.bundle)
    assert gate in {gate.name for gate in report.with_verdict("fail")}, report.headline


def test_a_peer_with_less_is_judged_by_what_it_gives(peer: Peer) -> None:
    landmarks_alone = ADAPTER[: ADAPTER.index("[outputs.params]")]
    (peer.folder / "peer.toml").write_text(landmarks_alone)
    report = verify_foreign(peer.onnx(), peer.folder / "peer.toml", peer.bundle)
    assert report.passed, report.headline
    reasons = {gate.name: gate.reason for gate in report.with_verdict("not measured")}
    assert reasons["rotation/pose_error"] == "the network gives no rotation"
    assert "neither vertices nor parameters" in reasons["vertices/chamfer"]
    assert any(gate.name == "landmarks/nme" for gate in report.with_verdict("pass"))


def test_rotation_and_posed_vertices_come_from_what_there_is(peer: Peer, workshops) -> None:
    answers = workshops("mesh").answers
    peer.answers["mesh"] = 1000 * (answers["vertices"] @ answers["rotation"])  # R^T posed, as rows
    rotation = '[outputs.rotation]\nname = "R"\nform = "transposed"\n'
    adapter = peer.adapter((rotation, ""), ('unit = "mm"', 'unit = "mm"\nframe = "model"'))
    report = verify_foreign(peer.onnx(), adapter, peer.bundle)
    assert report.passed, report.headline
    assert any(gate.name == "rotation/pose_error" for gate in report.with_verdict("pass"))


def test_a_graph_of_one_batch_size_is_run_at_it(peer: Peer) -> None:
    with open_foreign(peer.onnx(batch=3), peer.adapter()) as engine:
        assert [str(profile) for profile in engine.manifest.profiles] == ["3,3,3"]
    assert verify_foreign(peer.onnx(batch=3), peer.adapter(), peer.bundle).passed


REFUSED = {
    "a layout": (('"NCHW"', '"NHWC"'), r"takes input as tensor\(float\) .*mend layout, dtype"),
    "a type": (('color = "BGR"', 'color = "BGR"\ndtype = "float16"'), "the adapter gives tensor.f"),
    "a size": (("size = 32", "size = 64"), "mend layout, dtype or size"),
    "an input": (("size = 32", 'size = 32\nname = "image"'), "takes input; the adapter says image"),
    "an output": (('name = "points"', 'name = "points2d"'), "gives no points2d; it gives points"),
    "a shape": (
        ('name = "R"', 'name = "mesh2d"'),
        r"mesh2d \(rotation\) came as float32 \[1, 5023",
    ),
    "a field": (("size = 32", "size = 32\nwidth = 32"), "unknown field input.width"),
    "a word": (('"unit"', '"percent"'), "'percent', expected one of crop, unit, centred"),
    "an order": (('"jaw", ', ""), "expected each of shape"),
    "a number": (("std = [0.229, 0.224, 0.225]", "std = [0.229, 0, 0.225]"), "std are not 0"),
    "a line": (("[input]", "[input"), "is not TOML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_said_in_one_line(peer: Peer, name: str) -> None:
    change, said = REFUSED[name]
    with pytest.raises(UserError, match=said) as caught:
        verify_foreign(peer.onnx(), peer.adapter(change), peer.bundle)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_models_are_refused(peer: Peer) -> None:
    broken, script = peer.folder / "broken.onnx", peer.folder / "broken.pt"
    for path in (broken, script, peer.folder / "model.engine"):
        path.write_bytes(b"nothing")
    for path, said in (
        (broken, "expected an ONNX graph"),
        (script, "expected a TorchScript file"),
        (peer.folder / "model.engine", "expected .onnx, or for TorchScript"),
        (peer.folder / "none.onnx", "is not a file"),
    ):
        with pytest.raises(UserError, match=said):
            open_foreign(path, peer.adapter())


def test_a_bundle_of_fewer_outputs_or_another_size_is_refused(peer: Peer, workshops) -> None:
    with pytest.raises(UserError, match=r"gives vertices, projected; the bundle .*--variant mesh"):
        verify_foreign(peer.onnx(), peer.adapter(), workshops("params").bundle)


def test_torchscript_answers_as_onnx_does(peer: Peer) -> None:
    import torch

    class Script(torch.nn.Module):
        def __init__(self, answers: Answers) -> None:
            super().__init__()
            for name, value in zip("abcde", answers.values(), strict=True):
                self.register_buffer(name, torch.from_numpy(value))

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            red = image[:, 2, 0, 0] * (0.229 * 255) + 0.485 * 255
            row = torch.round(red).long() % 8
            return {
                "points": self.a[row],
                "3dmm": self.b[row],
                "R": self.c[row],
                "mesh": self.d[row],
                "mesh2d": self.e[row],
            }

    path = peer.folder / "peer.pt"
    torch.jit.script(Script(peer.answers)).save(str(path))
    report = verify_foreign(path, peer.adapter(), peer.bundle)
    assert report.passed, report.headline
    assert report.subject.runtime == "torchscript"
    files = [(path, peer.adapter()), (peer.onnx(), peer.adapter())]
    with open_rows([], foreign=files, batches=[3], threads=1) as rows:  # what `bench run` times
        assert [(row.name, row.batch) for row in rows] == [("peer.pt", 3), ("peer.onnx", 3)]
        first, second = (row.call() for row in rows)
    np.testing.assert_allclose(first["params"], second["params"], atol=1e-5)


def test_the_command_judges_a_peer_without_torch(peer: Peer, without_torch) -> None:
    words = ("verify", peer.onnx(), "--adapter", peer.adapter(), "--bundle", peer.bundle)
    result = peer.folder / "report.json"
    done = without_torch(*words, "--json", result)
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
    assert json.loads(result.read_text())["subject"]["engine"] == str(peer.onnx())


def test_the_command_says_what_it_needs(peer: Peer, capsys) -> None:
    model, adapter = str(peer.onnx()), str(peer.adapter())
    assert main(["verify", model, "--adapter", adapter]) == 2
    assert main(["verify", model, "--bundle", str(peer.bundle)]) == 2
    assert main(["verify", model, "--adapter", adapter, "--checkpoint", "x", "--data", "y"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "nothing to hold the model against" in lines[0]
    assert "--bundle" in lines[1] and "without --adapter" in lines[1]
