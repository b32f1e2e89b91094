"""`trans3dhead doctor` as a person runs it."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engines.machine import Machine, instruction_sets, this_machine
from trans3dhead.cli import doctor
from trans3dhead.cli.main import main
from trans3dhead.head.builtin import builtin_head


def test_the_whole_command_takes_under_three_seconds_of_work(tmp_path: Path) -> None:
    """Processor time: the clock on the wall also counts what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    target = tmp_path / "doctor.json"
    answer = subprocess.run(
        [sys.executable, "-m", "trans3dhead.cli.main", "doctor", "--json", str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
    assert "pip install 'trans3dhead[gpu]'" in answer.stdout  # brackets are no markup
    data = json.loads(target.read_text())
    assert data["cpu"] == this_machine().cpu
    assert data["instruction_sets"] == instruction_sets()
    assert data["lanes"]["cpu"]["ready"]
    assert data["runtimes"]["onnxruntime"]["cannot_run"] is None
    if this_machine().gpu is None:
        assert data["gpus"] == []
        assert not data["lanes"]["v100"]["ready"]
        assert data["runtimes"]["tensorrt-rtx"]["cannot_build"] is None
        assert "needs the NVIDIA GPU" in data["runtimes"]["tensorrt-rtx"]["cannot_run"]
    assert "torch" not in data["packages"]["base"]
    names = [item["name"] for item in data["packages"]["train"]["packages"]]
    assert "torch" in names


def test_gpus_and_driver_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(
        cpu="Xeon", gpu="Tesla V100", compute_capability="7.0", driver="535.1", cuda="12.2"
    )
    monkeypatch.setattr("engines.machine.all_gpus", lambda: [machine, machine])
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "GPU 1" in shown
    assert "Tesla V100, compute capability 7.0" in shown
    assert "535.1, serves CUDA 12.2" in shown


def test_a_machine_that_runs_nothing_fails_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.readiness.RUNTIMES", {"tensorrt": "engines.tensorrt_engine"})
    monkeypatch.setattr("engines.readiness.LANES", ())
    if this_machine().gpu is None:
        assert main(["doctor"]) == 1


def test_the_head_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = builtin_head()
    assert {"name": head.name, "licence": head.licence} == doctor.BUILTIN_HEAD
    assert main(["doctor", "--head", str(tmp_path)]) == 2
    assert "holds no head.npz" in capsys.readouterr().err
    head.save(tmp_path / "head.npz")
    assert main(["doctor", "--head", str(tmp_path)]) == 0
    assert "head model: builtin, licence Apache-2.0" in capsys.readouterr().out
