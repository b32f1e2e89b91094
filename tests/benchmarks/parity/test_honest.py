"""Honest runs: an honest engine is never failed, and a false alarm is told."""

import json

import numpy as np
import pytest

from benchmarks.parity.honest import judge_often
from engines.errors import UserError
from engines.manifest import read_manifest
from trans3dhead.cli.main import main
from trans3dhead.head.rotation import FRONTAL, rotation_from_euler


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, make_workshop):
    return make_workshop(tmp_path_factory.mktemp("honest") / "bundle", "params", images=25)


def test_each_run_judges_other_images_by_every_gate(workshop, honest_noise, capsys) -> None:
    folder = workshop.plant(honest_noise(workshop.answers))
    found = judge_often(folder, runs=3)
    assert found.images == 8
    assert [run.verdict for run in found.runs] == ["pass"] * 3
    assert found.passed
    assert read_manifest(folder).parity is None
    assert main(["bench", "honest", str(folder), "--runs", "3"]) == 0
    out = capsys.readouterr().out
    assert "PASS: of 3 runs of 8 images 0 fail, 0 are inconclusive, 3 pass" in out


def test_a_run_that_fails_is_told_with_its_gates(workshop, tmp_path, capsys) -> None:
    """The last of three runs alone holds the image that was moved."""
    answers = workshop.answers
    answers["landmarks"][20] += 2
    folder = workshop.plant(answers, name="moved")
    out = tmp_path / "honest.json"
    assert main(["bench", "honest", str(folder), "--runs", "3", "--json", str(out)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "FAIL: of 3 runs of 8 images 1 fail, 0 are inconclusive, 2 pass"
    assert any(line.startswith("run 3: landmarks/movement_largest: fail, ") for line in lines)
    assert not any(line.startswith(("run 1", "run 2")) for line in lines)
    found = json.loads(out.read_text())
    assert [run["verdict"] for run in found["runs"]] == ["pass", "pass", "fail"]
    assert not found["passed"]


def test_an_open_run_is_no_false_alarm(workshop) -> None:
    """One rotation of eight is off by more than the margin of the 99th percentile."""
    answers = workshop.answers
    turn = rotation_from_euler(np.array([0.4, 0.0, 0.0])) @ FRONTAL  # in image axes
    answers["rotation"][0] = turn @ answers["rotation"][0]
    found = judge_often(workshop.plant(answers, name="open"), runs=3)
    assert [run.verdict for run in found.runs] == ["inconclusive", "pass", "pass"]
    assert any("rotation/movement_p99: inconclusive" in line for line in found.runs[0].unsettled)
    assert found.passed
    assert "0 fail, 1 are inconclusive, 2 pass" in found.headline


@pytest.mark.parametrize("runs", [0, -1, 5, 100])
def test_too_few_images_are_refused(workshop, runs) -> None:
    folder = workshop.plant(workshop.answers, name="few")
    with pytest.raises(UserError, match=rf"{runs} runs came, for 25 reference images; expected"):
        judge_often(folder, runs=runs)
