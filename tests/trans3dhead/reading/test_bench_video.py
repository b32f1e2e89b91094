"""`bench video` films, predicts and judges; a head that trembles with the filter fails it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.report.tables import NOTHING
from benchmarks.report.video_table import video_table
from benchmarks.throughput.results import REPORT_SCHEMA
from engines.runtime import Engine
from trans3dhead.cli.main import main
from trans3dhead.data.crop import BBox
from trans3dhead.head.model import HeadModel
from trans3dhead.prediction import Predictor

from . import conftest
from .conftest import SIZE, Image, SquareEngine

INNER = (SIZE / 12, SIZE / 12, SIZE / 1.2, SIZE / 1.2)
"""A head's box within its crop, which adds a tenth on every side."""


class SteadyEngine(SquareEngine):
    """The head that was asked for, moved by up to `tremble` pixels of the crop."""

    tremble = 0.0

    def infer(self, inputs: dict[str, Image]) -> dict[str, NDArray[Any]]:
        answers = super().infer(inputs)
        moves = np.random.default_rng(len(self.batches)).uniform(-1, 1, (1, 1, 2)) * self.tremble
        answers["landmarks"] = answers["landmarks"] + moves
        return answers


@pytest.fixture
def engine(head: HeadModel, monkeypatch: pytest.MonkeyPatch) -> SteadyEngine:
    def in_the_middle(crop: Image) -> list[BBox]:
        return [INNER]

    monkeypatch.setattr(conftest, "find_square", in_the_middle)
    return SteadyEngine(head)


@pytest.fixture
def found(
    engine: SteadyEngine,
    head: HeadModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Runs the command: exit code and JSON."""
    monkeypatch.setattr(
        Predictor,
        "open",
        lambda *_args, **_options: Predictor(
            cast(Engine, engine), head, detect=cast(Any, lambda image: [])
        ),
    )

    def run(seconds: float = 0.1) -> tuple[int, dict[str, Any]]:
        out = tmp_path / "found.json"
        words = ["any", "--seconds", f"{seconds}", "--out", str(tmp_path), "--json", str(out)]
        code = main(["bench", "video", *words])
        return code, json.loads(out.read_text()) if out.exists() else {}

    return run


def test_a_steady_engine_passes_and_every_run_is_told(
    found: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], validator_of: Any
) -> None:
    code, data = found()
    assert code == 0
    validator = validator_of(REPORT_SCHEMA.with_name("video.schema.json"))
    validator.validate(data)
    assert not validator.is_valid({**data, "runs": data["runs"][:3]})
    assert data["steady"] is True
    runs = data["runs"]
    assert [(run["clip"], run["filter"]) for run in runs] == [
        ("still", "none"),
        ("still", "One-Euro"),
        ("moving", "none"),
        ("moving", "One-Euro"),
    ]
    for run in runs:
        assert run["frames"] == data["clip"]["frames"] == 3
        assert Path(run["video"]).stat().st_size > 10_000
        stages = run["cost"]["cpu_seconds_an_item_by_stage"]
        assert {"decode", "infer", "draw", "encode"} <= set(stages)
        assert sum(stages.values()) == pytest.approx(run["cost"]["cpu_seconds_an_item"], rel=0.01)
    assert runs[1]["mesh"]["jitter"] < 0.01
    assert runs[2]["mesh"]["error"] > 0
    assert "trembles by less than 0.3 px: yes" in capsys.readouterr().out
    table = video_table(data)
    assert len(table.rows) == 4
    assert table.title is not None and table.title.startswith("any: 3 frames of 1280 x 720")
    assert f"{runs[3]['landmarks']['error']:.2f}" in table.rows[3].cells
    assert not list(tmp_path.glob(".*"))  # no half video


def test_a_head_that_trembles_in_spite_of_the_filter_closes_the_gate(
    engine: SteadyEngine, found: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.tremble = 6.0
    code, data = found()
    assert code == 1
    assert data["steady"] is False
    assert data["runs"][1]["landmarks"]["jitter"] >= data["jitter_limit_pixels"]
    assert data["runs"][1]["mesh"]["jitter"] < data["jitter_limit_pixels"]
    assert "trembles by less than 0.3 px: no" in capsys.readouterr().out


def test_a_lost_head_closes_the_gate_and_is_told(
    found: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    validator_of: Any,
) -> None:
    monkeypatch.setattr(conftest, "find_square", lambda crop: [(0.0, 0.0, 1.0, 1.0)])
    code, data = found()
    assert (code, data["steady"]) == (1, False)
    validator_of(REPORT_SCHEMA.with_name("video.schema.json")).validate(data)
    assert [run["followed"] for run in data["runs"]] == [1, 1, 1, 1]
    assert not any("mesh" in run for run in data["runs"])
    shown = capsys.readouterr().out
    assert "the head of the moving clip was lost in frame 1 of 3 (filter: none)" in shown
    assert video_table(data).rows[0].cells[5:] == ("33%", *4 * [NOTHING])


def test_of_a_head_that_is_lost_later_the_frames_before_count(
    engine: SteadyEngine, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_the_moving_clip(crop: Image) -> list[BBox]:
        return [INNER] if len(engine.batches) < 6 + 6 + 4 else [(0.0, 0.0, 1.0, 1.0)]

    monkeypatch.setattr(conftest, "find_square", until_the_moving_clip)
    code, data = found(seconds=0.2)
    assert (code, data["steady"]) == (1, True)
    assert [run["followed"] for run in data["runs"]] == [6, 6, 4, 1]
    assert data["runs"][2]["mesh"]["error"] > 0


def test_too_little_time_is_refused(found: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(seconds=0.03) == (2, {})
    assert "expected two frames at least" in capsys.readouterr().err
    assert found(seconds=float("inf")) == (2, {})
    assert "--seconds inf came" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "predict none.png --engine none",
        "bench video none --seconds 0",
        "bench loader none",
        "bench run none",
        "bench modules none",
        "bench graph none",
        "bench serve none",
    ],
)
def test_products_of_numpy_take_one_thread(words: str) -> None:
    """Idle threads of OpenBLAS would spin beside the stages of the pipeline."""
    code = (
        "import os, sys, time; from trans3dhead.cli.main import main\n"
        "assert main(sys.argv[1:]) == 2\n"
        "assert 'numpy' not in sys.modules or os.environ['OPENBLAS_NUM_THREADS'] == '1'\n"
        "while len(os.listdir('/proc/self/task')) > 1: time.sleep(0.01)\n"  # the bars' own ends
        "before = len(os.listdir('/proc/self/task'))\n"
        "import numpy as np; np.ones((500, 500)) @ np.ones((500, 500))\n"
        "assert len(os.listdir('/proc/self/task')) == before == 1, 'threads were started'\n"
    )
    environment = {key: value for key, value in os.environ.items() if "NUM_THREADS" not in key}
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
