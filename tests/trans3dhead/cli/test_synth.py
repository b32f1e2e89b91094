"""`trans3dhead synth` from the command line."""

import json
from pathlib import Path

import pytest

from trans3dhead.cli.main import main
from trans3dhead.data.dad3dheads import HeadDataset


def test_renders_says_how_fast_and_refuses_to_mix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["synth", str(tmp_path / "heads"), "--split", "val", "--count", "3", "--size", "96"]
    result = tmp_path / "result.json"
    assert main([*words, "--seed", "5", "--json", str(result)]) == 0
    assert "3 drawn" in capsys.readouterr().out
    found = json.loads(result.read_text())
    assert (found["items"], found["rendered"]) == (3, 3)
    assert found["images_per_second"] == pytest.approx(3 / found["seconds"])
    assert len(HeadDataset(tmp_path / "heads", "val")) == 3

    assert main([*words, "--seed", "6"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("trans3dhead: ")
    assert "another seed; expected a new folder or the same settings" in said


def test_a_count_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", str(tmp_path), "--count", "0"]) == 2
    assert "count is 0; expected 1 or more" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_head_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["synth", str(tmp_path / "out"), "--head", str(tmp_path)]
    assert main(words) == 2
    assert "holds no head.npz; expected" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
