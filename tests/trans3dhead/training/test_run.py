"""From a folder, or from nothing, to a checkpoint file; through the command line too."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import UserError
from trans3dhead import presets
from trans3dhead.cli.main import main
from trans3dhead.head.builtin import builtin_head
from trans3dhead.presets import Preset
from trans3dhead.training import synthetic
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.keeping import BEST_FILE, CHECKPOINT_FILE, LOG_FILE, PICTURES
from trans3dhead.training.run import train_folder
from trans3dhead.training.synthetic import configuration_hash, train_rendered

HEAD = builtin_head()


@pytest.fixture
def brief(small: Preset, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Two steps; the command line knows it as "small"."""
    brief = replace(small, training=replace(small.training, samples=16))
    monkeypatch.setitem(presets.PRESETS, "small", lambda: brief)
    return brief


def test_the_command_writes_a_checkpoint_a_log_and_its_numbers(
    brief: Preset, data: Path, tmp_path: Path
) -> None:
    out, result = tmp_path / "out", tmp_path / "result.json"
    words = ["train", "--data", str(data), "--preset", "small", "--out", str(out)]
    assert main([*words, "--seed", "5", "--json", str(result)]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [BEST_FILE, CHECKPOINT_FILE, LOG_FILE, PICTURES]
    loaded = load_checkpoint(out / CHECKPOINT_FILE)
    assert loaded.preset == replace(brief, training=replace(brief.training, seed=5))
    assert (loaded.items, loaded.samples_seen) == (16, 16)
    written = json.loads(result.read_text())
    assert written["checkpoint"] == str(out / CHECKPOINT_FILE)
    assert written["results"] == loaded.results
    assert 0 < loaded.results["nme"] < 2 * loaded.results["average_face_nme"]
    assert main(words) == 2  # it would have overwritten the checkpoint


def test_rendered_heads_are_kept_and_a_configuration_is_trained_once(
    brief: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "HELD_OUT", 2)
    words = ["train", "--synthetic", "8", "--preset", "small", "--out", str(tmp_path)]
    assert main(words) == 0
    folder = tmp_path / f"small-{configuration_hash(brief, HEAD, 8)}"
    before = (folder / CHECKPOINT_FILE).stat().st_mtime_ns
    path, record = train_rendered(brief, head=HEAD, count=8, store=tmp_path)
    assert path == folder / CHECKPOINT_FILE and record.items == 8
    assert path.stat().st_mtime_ns == before
    assert configuration_hash(brief, HEAD, 9) != configuration_hash(brief, HEAD, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "neither of --data and --synthetic"),
        (["--data", ".", "--synthetic", "3"], "both of --data and --synthetic"),
        (["--synthetic", "0"], "--synthetic is 0"),
        (["--data", "nowhere"], "nowhere holds no folder DAD-3DHeadsDataset"),
        (["--data", ".", "--preset", "large"], "preset 'large' is unknown"),
        (["--data", ".", "--samples", "0"], "samples is 0"),
        (["--data", ".", "--samples", "5", "--minutes", "1"], "minutes is 1"),
        (["--data", ".", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["--data", ".", "--head", "nowhere"], "nowhere holds no head.npz"),
        (["--data", ".", "--evaluations", "0"], "evaluations is 0"),
        (["--data", ".", "--save-every", "0"], "save_every is 0"),
        (["--data", ".", "--set", "batch"], "setting 'batch' came; expected NAME=VALUE"),
        (["--data", ".", "--set", "depth=3"], "setting 'depth=3' came"),
        (["--data", ".", "--set", "batch=many"], "batch is 'many', expected int"),
        (["--data", ".", "--set", "batch=1"], "TrainingConfig.batch is 1"),
        (["--data", ".", "--set", "precision=float8"], "precision is 'float8', expected one of"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--preset", "tiny", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_validation_is_refused_before_training(
    brief: Preset, data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "heads"
    (root / "DAD-3DHeadsDataset").mkdir(parents=True)
    (root / "DAD-3DHeadsDataset" / "train").symlink_to(data / "DAD-3DHeadsDataset" / "train")
    with pytest.raises(UserError, match="no split val"):
        train_folder(brief, head=HEAD, data=root, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_presets_are_listed_with_their_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list-presets"]) == 0
    shown = capsys.readouterr().out
    for name in presets.PRESETS:
        assert name in shown
    assert "Table 8: 60" in shown
