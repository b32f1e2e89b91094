"""Trainings that start from a checkpoint, or their backbone from torchvision's weights; the latter
are made up here in its form."""

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro

from engines.errors import UserError
from engines.files import sha256_of
from trans3dhead import presets
from trans3dhead.cli.main import main
from trans3dhead.cli.train import Options, _resolve
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.backbone import ResNet
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.keeping import CHECKPOINT_FILE
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.loop import Training

HEAD = builtin_head()
ROOT = Path(__file__).parents[3]


@pytest.fixture
def weights(small: Preset, tmp_path: Path) -> Path:
    """The small preset's backbone, with a classifier, as torchvision saves one."""
    state = ResNet(small.network.backbone).state_dict()
    classifier = {"fc.weight": torch.zeros(10, 32), "fc.bias": torch.zeros(10)}
    torch.save(state | classifier, tmp_path / "resnet.pth")
    return tmp_path / "resnet.pth"


@pytest.fixture
def words(small: Preset, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Train the small preset at a rate that moves no weight to speak of."""
    still = replace(small, training=replace(small.training, samples=16, learning_rate=1e-30))
    monkeypatch.setitem(presets.PRESETS, "small", lambda: still)
    return ["train", "--data", str(data), "--preset", "small", "--out", str(tmp_path / "out")]


@pytest.fixture
def earlier(words: list[str], tmp_path: Path) -> Path:
    """What a training of the small preset left."""
    assert main([*words[:-1], str(tmp_path / "earlier"), "--seed", "7"]) == 0
    return tmp_path / "earlier" / CHECKPOINT_FILE


def test_a_backbone_starts_from_the_file_and_says_so(
    words: list[str], weights: Path, tmp_path: Path
) -> None:
    assert main([*words, "--backbone", str(weights)]) == 0
    trained = load_checkpoint(tmp_path / "out" / CHECKPOINT_FILE)
    wanted = torch.load(weights, weights_only=True)["conv1.weight"]
    assert torch.equal(trained.network.backbone.conv1.weight, wanted)
    assert trained.preset.training.backbone_file == str(weights)
    assert len(trained.preset.training.backbone_sha256 or "") == 64


def test_a_network_goes_on_from_a_checkpoint_and_says_so(
    words: list[str], earlier: Path, tmp_path: Path
) -> None:
    assert main([*words, "--start", str(earlier)]) == 0
    before, after = map(load_checkpoint, (earlier, tmp_path / "out" / CHECKPOINT_FILE))
    assert after.preset.training.start_file == str(earlier)
    assert len(after.preset.training.start_sha256 or "") == 64
    wanted = dict(before.network.named_parameters())
    for name, weight in after.network.named_parameters():
        torch.testing.assert_close(weight, wanted[name], rtol=0, atol=1e-20)


def test_another_network_is_no_start(small: Preset, earlier: Path, heads: LabelledHeads) -> None:
    training = replace(small.training, start_file=str(earlier), start_sha256=sha256_of(earlier))
    Training(replace(small, training=training), HEAD, heads)
    network, backbone = small.network, small.network.backbone
    others = {
        "heads": replace(network, heads=2 * network.heads),  # of the same shapes
        "backbone.width": replace(network, backbone=replace(backbone, width=2 * backbone.width)),
    }
    for name, other in others.items():
        told = rf"another network \({name} \d+, not \d+\); .*choose the preset"
        with pytest.raises(UserError, match=told):
            Training(replace(small, network=other, training=training), HEAD, heads)
    with pytest.raises(UserError, match=r"backbone_file is .*expected None where start_file"):
        replace(training, backbone_file="resnet.pth")


@pytest.mark.parametrize("kind", ["start", "backbone"])
def test_a_file_that_changed_since_is_refused(
    small: Preset, weights: Path, earlier: Path, heads: LabelledHeads, kind: str
) -> None:
    file = str({"start": earlier, "backbone": weights}[kind])
    changed: Any = {f"{kind}_file": file, f"{kind}_sha256": "0" * 64}
    training = replace(small.training, **changed)
    with pytest.raises(UserError, match="expected 000000000000, as the training began with"):
        Training(replace(small, training=training), HEAD, heads)


@pytest.mark.parametrize("option", ["--start", "--backbone"])
def test_a_missing_file_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    words = ["train", "--data", str(tmp_path), option, str(tmp_path / "no.pth")]
    assert main(words) == 2
    assert f"{option} {tmp_path / 'no.pth'} is no file" in capsys.readouterr().err


@pytest.mark.parametrize("start", [False, True])
def test_make_checkpoint_goes_on_with_whole_crops(tmp_path: Path, start: bool) -> None:
    file = tmp_path / "last.safetensors"
    file.touch()
    words = ["make", "-n", "checkpoint", "MINUTES=7", "PRECISION=bfloat16"]
    words += [f"START={file}"] if start else []
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    program, command, *given = shlex.split(said.splitlines()[-1])
    assert (Path(program).name, command) == ("trans3dhead", "train")
    training = _resolve(tyro.cli(Options, args=given)).training
    assert (training.minutes, training.precision) == (7, "bfloat16")
    assert training.start_file == (str(file) if start else None)
    assert (training.quarter_until == training.half_until == 0) is start
