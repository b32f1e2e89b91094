"""A backbone that starts from torchvision's weights; made up here in its form."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engines.errors import UserError
from trans3dhead import presets
from trans3dhead.cli.main import main
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.backbone import ResNet
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.keeping import CHECKPOINT_FILE
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.loop import Training

HEAD = builtin_head()


@pytest.fixture
def weights(small: Preset, tmp_path: Path) -> Path:
    """The small preset's backbone, with a classifier, as torchvision saves one."""
    state = ResNet(small.network.backbone).state_dict()
    classifier = {"fc.weight": torch.zeros(10, 32), "fc.bias": torch.zeros(10)}
    torch.save(state | classifier, tmp_path / "resnet.pth")
    return tmp_path / "resnet.pth"


def test_training_starts_from_the_file_and_says_so(
    small: Preset, weights: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = replace(small, training=replace(small.training, samples=16, learning_rate=1e-30))
    monkeypatch.setitem(presets.PRESETS, "small", lambda: still)
    out = tmp_path / "out"
    words = ["train", "--data", str(data), "--preset", "small", "--out", str(out)]
    assert main([*words, "--backbone", str(weights)]) == 0
    trained = load_checkpoint(out / CHECKPOINT_FILE)
    wanted = torch.load(weights, weights_only=True)["conv1.weight"]
    assert torch.equal(trained.network.backbone.conv1.weight, wanted)
    assert trained.preset.training.backbone_file == str(weights)
    assert len(trained.preset.training.backbone_sha256 or "") == 64


def test_a_file_that_changed_since_is_refused(
    small: Preset, weights: Path, heads: LabelledHeads
) -> None:
    training = replace(small.training, backbone_file=str(weights), backbone_sha256="0" * 64)
    with pytest.raises(UserError, match="expected 000000000000, as the training began with"):
        Training(replace(small, training=training), HEAD, heads)


def test_a_missing_file_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", str(tmp_path), "--backbone", str(tmp_path / "no.pth")]
    assert main(words) == 2
    assert "no.pth is no file" in capsys.readouterr().err
