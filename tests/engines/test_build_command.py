"""`trans3dhead build` from the outside: exit codes, one line, JSON."""

import json
from pathlib import Path

import pytest

from trans3dhead.cli.main import main


def test_a_build_and_its_json(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["build", str(bundle), "--recipe", "fp16", "--batch", "1,2,4", "8"]
    assert main([*words, "--json", str(tmp_path / "out.json")]) == 0
    assert "fp16 (emulated): 44 % of the FLOPs in half" in capsys.readouterr().out
    data = json.loads((tmp_path / "out.json").read_text())
    manifest = json.loads((bundle / "engines" / "onnxruntime-fp16" / "manifest.json").read_text())
    assert data == manifest
    assert [profile["max"] for profile in data["profiles"]] == [4, 8]
    assert main(words) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main([*words, "--force"]) == 0
    assert "unchanged" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "int4"], "recipe int4 is not in"),
        (["--runtime", "abacus"], "runtime 'abacus' came; expected one of onnxruntime"),
        (["--batch", "8,1,2"], "expected 1 <= min <= opt <= max"),
        (["--batch", "many"], "expected one number or min,opt,max"),
        (["--half", "native"], "recipe fp32 holds nothing in half"),
    ],
)
def test_what_cannot_be_exits_with_2_and_one_line(
    bundle: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(bundle), *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (bundle / "engines").exists()


def test_a_missing_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(tmp_path / "none")]) == 2
    assert "has no contract.json; expected a bundle folder" in capsys.readouterr().err
