"""`bench loader`: crops made for real, by one process and by several."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from trans3dhead.cli.main import main
from trans3dhead.head.builtin import builtin_head
from trans3dhead.synth.dataset import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    write_dataset(folder, "train", 6, 0, builtin_head(), size=96, workers=1)
    return folder


def test_speeds_are_told_for_a_process_and_a_core(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "loader.json"
    words = ["bench", "loader", str(data), "--size", "64", "--seconds", "0.2", "--json", str(out)]
    assert main([*words, "--workers", "1", "--rotate", "20", "--recolour", "1"]) == 0
    found = json.loads(out.read_text())
    assert found["items"] == 6 and 80**2 < found["pixels"] < 110**2
    assert found["alone"] > 1 and found["together"] > 1
    assert found["per_core"] == found["together"] / found["workers"]
    assert f"{found['per_core']:.0f} a core" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--workers", "0"], ["--seconds", "0"], ["--seconds", "inf"], ["--split", "val"]]
)
def test_what_cannot_be_measured_is_refused(data: Path, wrong: list[str]) -> None:
    assert main(["bench", "loader", str(data), *wrong]) == 2
