"""The CPU table by one command: its steps are ours, and what it publishes makes the tables."""

import importlib
import json
from pathlib import Path

import pytest
import tyro

from benchmarks import cpu_check
from benchmarks.cpu_check import (
    BATCHES,
    PUBLISHED,
    Options,
    engines,
    main,
    publish,
    report_name,
    steps,
)
from benchmarks.report.committed import filled
from benchmarks.steps import TRANS3DHEAD, Ran
from engines.errors import UserError
from trans3dhead.cli.main import COMMANDS


def options(tmp_path: Path, **more) -> Options:
    return Options(checkpoint=tmp_path / "full.safetensors", out=tmp_path / "out", **more)


def test_every_planned_command_is_one_of_ours(tmp_path: Path) -> None:
    planned = steps(options(tmp_path))
    names = [step.name for step in planned]
    assert len(set(names)) == len(names) == len(BATCHES) * (1 + 2 * len(engines())) + len(PUBLISHED)
    assert tuple(names[-len(PUBLISHED) :]) == PUBLISHED
    for position, step in enumerate(planned):
        words = step.command[len(TRANS3DHEAD) :]
        assert step.command[: len(TRANS3DHEAD)] == TRANS3DHEAD
        name = " ".join(words[:2]) if words[0] == "bench" else words[0]
        module = importlib.import_module(f"trans3dhead.cli.{COMMANDS[name].module}")
        tyro.cli(module.Options, args=list(words[len(name.split()) :]))
        assert set(step.needs) <= set(names[:position])


@pytest.mark.parametrize(
    ("instructions", "bfloat16"), [(["avx2"], False), (["avx2", "avx512_bf16"], True)]
)
def test_bfloat16_is_left_to_cpus_that_have_it(instructions, bfloat16, monkeypatch) -> None:
    monkeypatch.setattr(cpu_check, "instruction_sets", lambda: instructions)
    assert ("openvino-bf16" in engines()) == bfloat16


BENCH, MODULES = report_name("bench"), report_name("modules")
MACHINE = {"gpu": None, "cpu": "a CPU"}
BEFORE = {"machine": MACHINE, "cores": 2, "instructions": ["amx_bf16"], "versions": {"torch": "2"}}
LATENCY = dict.fromkeys(("median", "p90", "p95", "p99", "mean", "std", "largest"), 10.0)


def row(name: str, batch: int, speed: float, ratio: float | None, **more) -> dict:
    interval = None if ratio is None else {"low": 0.95 * ratio, "high": 1.05 * ratio}
    return {
        "name": name, "batch": batch, "precision": "float32", "parity": None,
        "images_per_second": speed, "speedup": ratio, "interval": interval, "latency": LATENCY,
        "limit": None, **more,
    }  # fmt: skip


def report() -> dict:
    stage = LATENCY | {"calls": 9}
    names = ("decode", "crop", "copy in", "inference", "copy out", "post-processing")
    limit = {"images_per_second": 200.0, "attained": 0.8, "binds": "arithmetic"}
    return {
        "rows": [
            row("torch eager", 1, 10, None),
            row("onnxruntime-fp32", 1, 16, 1.6, parity="pass"),
            row("openvino-bf16", 1, 80, 8.0, parity="pass"),
            row("openvino-bf16", 16, 160, 9.0, parity="inconclusive", limit=limit),
        ],
        "staged": [
            {
                "name": "torch eager", "batch": 1, "stages": dict.fromkeys(names, stage),
                "end_to_end": stage, "device": None, "gap": 0.01,
                "interval": {"low": 0.0, "high": 0.02}, "adds_up": "pass",
            }
        ],
        "photo": "jpg", "before": BEFORE, "disturbed": None, "durations": [[1.0], [2.0]],
    }  # fmt: skip


def recorded() -> dict:
    def part(name: str, milliseconds: float, flops: float) -> dict:
        return {"part": name, "milliseconds": milliseconds, "share": milliseconds / 10,
                "flops": flops, "flops_share": 0.5, "layers": 3}  # fmt: skip

    fine = "landmark_branch.layers.0"
    rows = {
        "torch eager": [part(f"{fine}.qamem", 2.0, 5e8), part(f"{fine}.feedforward", 3.0, 1e9)],
        "openvino-bf16": [part("backbone", 7.0, 1e9)],
    }
    found = [
        {
            "name": name, "runtime": "openvino", "precision": "bfloat16", "batch": 1, "calls": 5,
            "milliseconds": 10.0, "plain": 9.0, "rows": parts, "attributed": 1.0,
        } for name, parts in rows.items()
    ]  # fmt: skip
    return {"profiled": found, "machine": BEFORE, "disturbed": None}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / BENCH).write_text(json.dumps(report()))
    (folder / MODULES).write_text(json.dumps(recorded()))
    for step in PUBLISHED[2:]:
        (folder / report_name(step)).write_text("{}")
    return folder


def test_published_reports_take_the_place_of_earlier_ones_and_make_tables(
    out: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    earlier = results / f"2020-01-01-{BENCH}"
    earlier.write_text("{}")
    (results / "2020-01-01-h100-bench.json").write_text("{}")
    published = publish(out, results)
    assert [path.name[11:] for path in published] == [report_name(step) for step in PUBLISHED]
    assert sorted(path.name for path in results.iterdir()) == sorted(
        ["2020-01-01-h100-bench.json", *(path.name for path in published)]
    )
    assert json.loads(published[0].read_text())["durations"] == []

    def page(view: str) -> str:
        return filled(f"<!-- results: {view} -->\n<!-- end of results -->\n", results)

    assert "| openvino-bf16 | 16 | float32 | inconclusive | 160 | 9.00 [8.55, 9.45]" in page(
        f"*-{BENCH}"
    )
    matrix = page(f"*-{BENCH} matrix")
    assert "| torch eager | float32 | - | 10.0 | - |" in matrix
    assert "| openvino-bf16 | float32 | pass, inconclusive | 80.0 (8.0 times) | 160.0" in matrix
    goals = page(f"*-{BENCH} goals")
    assert "| onnxruntime-fp32 | 1 | 1.7 times PyTorch | 1.60 [1.52, 1.68] | missed |" in goals
    assert "| openvino-bf16 | 1 | 7 times PyTorch | 8.00 [7.60, 8.40] | met |" in goals
    assert "| openvino-bf16 | 16 | 75% of the ceiling | 80% | met |" in goals
    assert "| openvino-int8-backbone | 1 | 115 images/s | - | not measured |" in goals
    assert "| torch eager | 1 | 10.0 |" in page(f"*-{BENCH} stages")
    shown = page(f"*-{MODULES}")
    assert "| ms (GFLOP/s) | torch eager | openvino-bf16 |" in shown
    assert "| landmark_branch.layers.0 | 5.00 (300) | - |" in shown
    assert "| backbone | - | 7.00 (143) |" in shown
    assert "| a call | 10 | 10 |" in shown
    with pytest.raises(UserError, match="makes no table weather"):
        page(f"*-{BENCH} weather")
    with pytest.raises(UserError, match=r"nothing.json makes no table"):
        page("nothing.json")
    assert "\nNot measured yet.\n" in page("*-nothing.json")


def test_a_goal_within_the_interval_is_open(out: Path, tmp_path: Path) -> None:
    found = report()
    found["rows"][1] |= {"speedup": 1.7, "interval": {"low": 1.6, "high": 1.8}}
    (tmp_path / "a.json").write_text(json.dumps(found))
    text = filled("<!-- results: a.json goals -->\n<!-- end of results -->\n", tmp_path)
    assert "| 1.70 [1.60, 1.80] | open |" in text


def test_nothing_is_published_without_all_reports(out: Path, tmp_path: Path) -> None:
    (out / MODULES).unlink()
    with pytest.raises(UserError, match=r"cpu-modules.json cannot be read .*run them"):
        publish(out, tmp_path)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("failed", "published"), [(None, True), ("verify 1 openvino-bf16", True), ("bench", False)]
)
def test_a_verdict_that_is_no_pass_is_published_a_failed_run_is_not(
    failed, published, tmp_path, monkeypatch
) -> None:
    ran = [
        Ran(name=name, seconds=1.0, code=int(name == failed), told="")
        for name in ("verify 1 openvino-bf16", *PUBLISHED)
    ]
    done: list[str] = []
    monkeypatch.setattr(cpu_check, "run_steps", lambda *_: ran)
    monkeypatch.setattr(cpu_check, "publish", lambda out: done.append("published") or [])
    monkeypatch.setattr(cpu_check, "fill_pages", lambda words: done.append("filled"))
    assert main(options(tmp_path, publish=True)) == int(failed is not None)
    assert done == (["published", "filled"] if published else [])
    done.clear()
    main(options(tmp_path))
    assert not done
