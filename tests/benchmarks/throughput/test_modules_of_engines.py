"""An exported network in real runtimes, told by the network's own names."""

import json
from pathlib import Path

import pytest
from support import Demo

from benchmarks.throughput.module_bench import profile_modules
from benchmarks.throughput.modules import BETWEEN, SCHEMA, UNATTRIBUTED
from trans3dhead.cli.main import main


@pytest.mark.parametrize("runtime", ["onnxruntime-fp16", "onnxruntime-fp32", "openvino-fp32"])
def test_an_exported_network_is_told_by_our_names(demo: Demo, runtime: str) -> None:
    (found,) = profile_modules(
        [demo.mesh / "engines" / runtime], seconds=0.01, threads=1, depth=1
    ).profiled
    named = {row.part: row for row in found.rows}
    assert set(named) >= {"backbone", "projection", "landmark_branch", "parameter_branch", "mesh"}
    assert all(named[module].milliseconds > 0 for module in ("backbone", "parameter_branch"))
    assert sum(row.milliseconds for row in found.rows) == pytest.approx(found.milliseconds)
    assert found.attributed > 0.6
    assert named[BETWEEN].milliseconds > 0


def test_the_command_writes_all_its_forms(demo: Demo, tmp_path: Path, capsys) -> None:
    found, html = tmp_path / "modules.json", tmp_path / "modules.html"
    engine = str(demo.engine("fp32"))
    words = ["bench", "modules", engine, "--checkpoint", str(demo.checkpoint), "--threads", "1"]
    assert main([*words, "--seconds", "0.01", "--json", str(found), "--html", str(html)]) == 0
    told = capsys.readouterr().out
    assert "backbone.layer1" in told and UNATTRIBUTED in told
    report = json.loads(found.read_text())
    assert report["schema"] == SCHEMA
    assert [one["name"] for one in report["profiled"]] == ["torch eager", "onnxruntime-fp32"]
    assert "Plotly" in html.read_text() and "backbone.layer1" in html.read_text()
