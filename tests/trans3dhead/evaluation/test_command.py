"""`trans3dhead evaluate` on a checkpoint and on an engine."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engines import bundle, runtime
from trans3dhead import evaluation, prediction
from trans3dhead.cli import main as cli
from trans3dhead.network.config import BackboneConfig, NetworkConfig
from trans3dhead.network.model import build_network
from trans3dhead.presets import preset
from trans3dhead.training.checkpoint import CheckpointRecord, HeadRecord, save_checkpoint

NETWORK = NetworkConfig(
    backbone=BackboneConfig(block="basic", depths=(1, 1), width=8),
    image_size=64,
    hidden=16,
    heads=2,
    feedforward=16,
)


@pytest.fixture
def checkpoint(tmp_path: Path, head) -> Path:
    return save(tmp_path, head, NETWORK)


def save(folder: Path, head, config: NetworkConfig) -> Path:
    torch.manual_seed(0)
    record = CheckpointRecord(
        preset=replace(preset("tiny"), network=config),
        head=HeadRecord.of(head),
        items=1,
        samples_seen=1,
        minutes=0.0,
    )
    path = folder / "network.safetensors"
    save_checkpoint(path, build_network(config, torch.full((68, 2), 0.4)), record)
    return path


def evaluate(model: Path, root: Path, *more: str) -> int:
    return cli.main(["evaluate", str(model), "--data", str(root), *more])


def test_a_checkpoint_is_measured_beside_baselines_and_papers(checkpoint, root, tmp_path, capsys):
    assert evaluate(checkpoint, root, "--json", str(tmp_path / "out.json")) == 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["items"] == 5 and data["split"] == "val"
    assert list(data["metrics"]) == ["nme", "z5_published", "z5_defined", "chamfer", "pose_error"]
    # Fresh weights answer with the average face and the prior, almost.
    assert data["metrics"]["nme"] == pytest.approx(
        data["baselines"]["average face"]["nme"], rel=0.1
    )
    frontal = data["baselines"]["frontal pose"]["pose_error"]
    assert data["metrics"]["pose_error"] == pytest.approx(frontal, rel=0.1)
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("this model", "always average face", "1.822", "0.9585", "pose: atypical"):
        assert words in shown


def test_a_limit_is_kept(checkpoint, root, tmp_path):
    json_file = str(tmp_path / "out.json")
    assert evaluate(checkpoint, root, "--limit", "2", "--json", json_file) == 0
    assert json.loads(Path(json_file).read_text())["per_image"]["item_ids"] == ["head-0", "head-1"]


@pytest.mark.parametrize("switch", [{"single_task": True}, {"marr": False}])
def test_networks_without_an_average_face(switch, root, tmp_path, head, capsys):
    model = save(tmp_path, head, replace(NETWORK, **switch))
    assert evaluate(model, root, "--json", str(tmp_path / "out.json")) == 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert list(data["baselines"]) == ["frontal pose"]
    missing = "NME: not computed, the prediction has no landmarks" in capsys.readouterr().out
    assert missing == ("single_task" in switch) == ("nme" in data["absent"])


class FakeEngine(nullcontext):
    """Answers as the oracle does, in batches of 2 alone."""

    contract = SimpleNamespace(image=SimpleNamespace(size=64))
    manifest = SimpleNamespace(profiles=(SimpleNamespace(min=2, opt=2, max=2),))

    def __init__(self, oracle) -> None:
        super().__init__(self)
        self.oracle = oracle

    def infer(self, inputs):
        assert len(inputs["image"]) == 2
        return self.oracle.predict(inputs["image"])


def test_an_engine_is_measured(oracle, root, head, tmp_path, monkeypatch):
    for name, array in oracle.answers.items():  # the odd last item is filled up to a batch
        oracle.answers[name] = np.concatenate([array, array[-1:]])
    monkeypatch.setattr(runtime, "open_engine", lambda folder, threads: FakeEngine(oracle))
    monkeypatch.setattr(runtime, "bundle_of", lambda folder: folder)
    monkeypatch.setattr(bundle.Bundle, "open", lambda folder: None)
    monkeypatch.setattr(prediction, "head_of", lambda bundle, folder: head)
    assert evaluate(tmp_path, root, "--json", str(tmp_path / "out.json")) == 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["items"] == 5
    assert data["metrics"]["nme"] == pytest.approx(0, abs=1e-9)
    assert list(data["baselines"]) == ["frontal pose"]


def test_what_cannot_be_used_is_said_in_one_line(checkpoint, root, tmp_path, capsys):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(checkpoint.read_bytes()[:1000])
    for model, data, more, words in [
        (tmp_path / "none", root, (), "does not exist; expected a checkpoint file or an engine"),
        (cut, root, (), "is not a whole safetensors file"),
        (checkpoint, tmp_path / "empty", (), "holds no folder DAD-3DHeadsDataset"),
        (checkpoint, root, ("--split", "test"), "no split test"),
        (checkpoint, root, ("--limit", "0"), "the limit is 0"),
        (checkpoint, root, ("--head", str(tmp_path)), "holds no head.npz"),
    ]:
        assert evaluate(model, data, *more) == 2
        error = capsys.readouterr().err.strip()
        assert words in error and error.startswith("trans3dhead: ")
        assert len(error.splitlines()) == 1


def test_another_head_model_is_refused(checkpoint, root, head, tmp_path, capsys):
    replace(head, name="other", template=head.template * 1.01).save(tmp_path / "head.npz")
    assert evaluate(checkpoint, root, "--head", str(tmp_path)) == 2
    assert "give the folder of the head model this was made with" in capsys.readouterr().err


def test_help_tells_the_options(capsys):
    assert cli.main(["evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--data", "--split", "--head", "--limit", "--json"))


def test_the_engine_adapter_answers_any_number_of_crops(oracle):
    for name, array in oracle.answers.items():
        oracle.answers[name] = np.concatenate([array, array[-1:]])
    predictor = evaluation.EnginePredictor(FakeEngine(oracle))
    assert predictor.image_size == 64
    answers = predictor.predict(np.zeros((5, 64, 64, 3), np.uint8))
    assert {name: len(array) for name, array in answers.items()} == dict.fromkeys(answers, 5)
