"""The sweep: damaged weights are caught, and a judge that sleeps is found out."""

import json

import pytest

from benchmarks.parity import sweep as sweeping
from benchmarks.parity.sweep import sweep
from benchmarks.report.trust_tables import caught_table, missed_table
from engines.errors import UserError
from engines.manifest import read_manifest
from trans3dhead.cli.main import main


@pytest.fixture(scope="module")
def engine(tmp_path_factory, make_workshop):
    """An engine whose "weights" are its answers: scaled landmarks are scaled answers."""
    folder = tmp_path_factory.mktemp("sweep") / "bundle"
    workshop = make_workshop(folder, "params", images=16)
    return workshop.plant(workshop.answers)


def test_scaled_answers_are_caught_and_what_moves_nothing_is_missed(engine) -> None:
    found = sweep(engine, judged=8, factors=(1 + 1e-6, 1.05))
    assert (found.judged, found.other) == (8, 8)
    assert {case.weight for case in found.cases} == {
        "landmarks.table",
        "params.table",
        "rotation.table",
    }
    small, large = found.of(1 + 1e-6), found.of(1.05)
    assert not any(case.caught for case in small)
    assert all(case.verdict == "fail" for case in large)
    by_name = {case.weight: case for case in large}
    assert "landmarks/nme" in by_name["landmarks.table"].stopped_by
    assert "rotation/pose_error" in by_name["rotation.table"].stopped_by
    assert by_name["landmarks.table"].largest_share > 1
    assert found.missed == tuple(sorted(small, key=lambda case: -case.largest_share))
    assert 0 < found.missed[0].largest_share < 0.01
    assert not found.escaped
    assert found.headline.startswith("PASS: what was missed moves no metric by more than 0%")
    rows = [row.cells for row in caught_table(found).rows]
    assert rows[2] == ("1.05", "all weights", "3 of 3", "100%", "3", "0")
    assert len(missed_table(found).rows) == 3


def test_the_engine_stays_as_it_is(engine) -> None:
    before = read_manifest(engine), (engine / "model.onnx").read_bytes()
    sweep(engine, judged=8, only=("landmarks.*",))
    assert (read_manifest(engine), (engine / "model.onnx").read_bytes()) == before


def test_a_judge_that_sleeps_is_found_out(engine, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(sweeping, "overall", lambda gates: "pass")
    out = tmp_path / "sweep.json"
    words = ["bench", "sweep", str(engine), "--judged", "8", "--only", "land*", "--json", str(out)]
    assert main(words) == 1
    told = capsys.readouterr().out
    assert "FAIL: 2 were missed and move a metric past its margin, on 8 other images" in told
    assert "landmarks.table x 1.05" in told
    assert "0 of 1" in told
    found = json.loads(out.read_text())
    assert set(found["escaped"]) == {"landmarks.table x 1.01", "landmarks.table x 1.05"}


def test_what_cannot_be_swept_is_said_in_a_line(engine) -> None:
    with pytest.raises(UserError, match=r"14 images to judge by came, of the 16 .* `--count 128`"):
        sweep(engine, judged=14)
    with pytest.raises(UserError, match="3 images to judge by came"):
        sweep(engine, judged=3)
    with pytest.raises(UserError, match=r"no weight of .* is called bias\* or scale; expected"):
        sweep(engine, judged=8, only=("bias*", "scale"))
