"""`build --verify`: what does not pass is not published."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import CONTRACT_FILE, REFERENCE_FILE
from engines.files import sha256_of, write_whole
from engines.manifest import read_manifest
from engines.runtime import open_engine
from trans3dhead.cli.main import execute, main

ENGINE = "onnxruntime-fp32"


@pytest.fixture
def bundle(tmp_path: Path, make_workshop) -> Path:
    """A bundle whose fp32 graph gives the reference's answers."""
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    replace_graph(workshop.bundle, workshop.lookup(workshop.answers))
    return workshop.bundle


def replace_graph(bundle: Path, graph: bytes) -> None:
    """Put another fp32 graph into a bundle, and seal the contract anew."""
    write_whole(bundle / "fp32.onnx", graph)
    contract = json.loads((bundle / CONTRACT_FILE).read_text())
    contract["files"]["fp32.onnx"] = sha256_of(bundle / "fp32.onnx")
    write_whole(bundle / CONTRACT_FILE, json.dumps(contract))


def built(bundle: Path, *words: str) -> int:
    return main(["build", str(bundle), "--verify", *words])


def landmarks_of(engine: Path) -> np.ndarray:
    with open_engine(engine) as opened:
        image = np.zeros((1, 32, 32, 3), np.uint8)
        return opened.infer({"image": image})["landmarks"]


def damaged(workshop_answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**workshop_answers, "landmarks": workshop_answers["landmarks"] + 1}


def test_what_passes_is_published_with_its_verdict(bundle: Path, capsys) -> None:
    assert built(bundle) == 0
    parity = read_manifest(bundle / "engines" / ENGINE).parity
    assert parity is not None and parity["verdict"] == "pass"
    assert parity["reference_sha256"] == sha256_of(bundle / REFERENCE_FILE)
    assert len(parity["margins_sha256"]) == 64
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASS: ")
    assert built(bundle) == 0
    out = capsys.readouterr().out
    assert "unchanged" in out and "PASS: " in out


def test_what_fails_leaves_the_engine_that_was_there(bundle: Path, make_workshop, capsys) -> None:
    assert built(bundle) == 0
    before = landmarks_of(bundle / "engines" / ENGINE)
    good = (bundle / "fp32.onnx").read_bytes()
    workshop = make_workshop(bundle.with_name("other"), "params", images=6)
    replace_graph(bundle, workshop.lookup(damaged(workshop.answers)))
    capsys.readouterr()
    report = bundle.with_name("report.json")
    assert built(bundle, "--json", str(report)) == 1
    out = capsys.readouterr().out
    assert "landmarks/movement_p99: fail" in out
    assert out.splitlines()[-1].startswith(f"{bundle / 'engines' / ENGINE} was not published")
    found = json.loads(report.read_text())
    assert found["verdict"] == "fail"
    assert found["subject"]["engine"] == str(bundle / "engines" / ENGINE)
    assert [path.name for path in (bundle / "engines").iterdir()] == [ENGINE]
    replace_graph(bundle, good)  # the engine that was there fits its bundle again
    assert np.array_equal(landmarks_of(bundle / "engines" / ENGINE), before)
    assert read_manifest(bundle / "engines" / ENGINE).parity["verdict"] == "pass"


def test_nothing_is_there_where_nothing_was(bundle: Path, make_workshop) -> None:
    workshop = make_workshop(bundle.with_name("other"), "params", images=6)
    replace_graph(bundle, workshop.lookup(damaged(workshop.answers)))
    assert built(bundle) == 1
    assert list((bundle / "engines").iterdir()) == []


def test_an_engine_that_stands_and_fails_says_so_in_its_manifest(
    bundle: Path, make_workshop, capsys
) -> None:
    workshop = make_workshop(bundle.with_name("other"), "params", images=6)
    replace_graph(bundle, workshop.lookup(damaged(workshop.answers)))
    assert main(["build", str(bundle)]) == 0
    assert built(bundle) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("was there before and stays; its manifest says fail")
    assert read_manifest(bundle / "engines" / ENGINE).parity["verdict"] == "fail"


def test_margins_of_ones_own_are_used(bundle: Path, make_workshop, tmp_path: Path, capsys) -> None:
    workshop = make_workshop(bundle.with_name("other"), "params", images=6)
    moved = {**workshop.answers, "landmarks": workshop.answers["landmarks"] + 0.1}
    replace_graph(bundle, workshop.lookup(moved))
    wide = tmp_path / "margins.toml"
    wide.write_text('[fp32.landmarks]\nnme = "50 %"\nmovement_p99 = 9\nmovement_largest = 9\n')
    assert built(bundle) == 1
    assert built(bundle, "--margins", str(wide)) == 0
    wide.write_text("[fp32.nonsense]\nnme = 1\n")
    assert built(bundle, "--margins", str(wide)) == 2
    assert "nonsense/nme is no gate" in capsys.readouterr().err


def test_margins_without_verify_are_refused(bundle: Path, tmp_path: Path, capsys) -> None:
    assert main(["build", str(bundle), "--margins", str(tmp_path / "m.toml")]) == 2
    assert "came without --verify" in capsys.readouterr().err


def test_the_outcome_is_the_manifest(bundle: Path) -> None:
    outcome = execute("build", [str(bundle), "--verify"])
    assert outcome.data == asdict(read_manifest(bundle / "engines" / ENGINE))
