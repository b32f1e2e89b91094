"""The CPU table by one command: its steps are ours, and what it publishes makes the tables."""

import importlib
import json
from pathlib import Path

import pytest
import tyro

from benchmarks import cpu_check
from benchmarks.cpu_check import (
    BATCHES,
    INT8,
    MEASURED,
    PARITY,
    Options,
    engines,
    main,
    publish,
    published_engines,
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
    prepared = 1 + len(BATCHES) * (1 + 2 * len(engines()))
    assert len(set(names)) == len(names) == prepared + len(MEASURED)
    assert tuple(names[-len(MEASURED) :]) == MEASURED
    for position, step in enumerate(planned):
        words = step.command[len(TRANS3DHEAD) :]
        assert step.command[: len(TRANS3DHEAD)] == TRANS3DHEAD
        name = " ".join(words[:2]) if words[0] == "bench" else words[0]
        module = importlib.import_module(f"trans3dhead.cli.{COMMANDS[name].module}")
        tyro.cli(module.Options, args=list(words[len(name.split()) :]))
        assert set(step.needs) <= set(names[:position])


def test_what_is_published_of_rounding_is_judged_by_more_heads(tmp_path: Path) -> None:
    more = [step.name for step in steps(options(tmp_path)) if "--checkpoint" in step.command]
    judged = [name for name in more if name.startswith("verify")]
    assert judged == [f"verify 1 {name}" for name in published_engines()]


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
LATENCY["calls"] = 900


def row(name: str, batch: int, speed: float, ratio: float | None, **more) -> dict:
    interval = None if ratio is None else {"low": 0.95 * ratio, "high": 1.05 * ratio}
    return {
        "name": name, "batch": batch, "precision": "float32", "parity": None,
        "images_per_second": speed, "speedup": ratio, "interval": interval, "latency": LATENCY,
        "limit": None, "settled": True, **more,
    }  # fmt: skip


def report() -> dict:
    few = {"latency": LATENCY | {"calls": 9}, "settled": False}
    names = ("decode", "crop", "copy in", "inference", "copy out", "post-processing")
    limit = {"images_per_second": 200.0, "attained": 0.8, "binds": "arithmetic",
             "interval": {"low": 0.76, "high": 0.85}}  # fmt: skip
    return {
        "rows": [
            row("torch eager", 1, 10, None),
            row("onnxruntime-fp32", 1, 16, 1.6, parity="pass"),
            row("openvino-bf16", 1, 80, 8.0, parity="pass"),
            row("openvino-bf16", 16, 160, 9.0, parity="inconclusive", limit=limit, **few),
        ],
        "staged": [
            {
                "name": "torch eager", "batch": 1, "stages": dict.fromkeys(names, LATENCY),
                "end_to_end": LATENCY, "device": None, "gap": 0.01,
                "interval": {"low": 0.0, "high": 0.02}, "adds_up": "pass",
            }
        ],
        "photo": "jpg", "before": BEFORE, "disturbed": None, "durations": [[1.0], [2.0]],
    }  # fmt: skip


def recorded() -> dict:
    def part(name: str, milliseconds: float, flops: float) -> dict:
        return {"part": name, "milliseconds": milliseconds, "share": milliseconds / 10,
                "flops": flops, "flops_share": 0.5, "layers": 3}  # fmt: skip

    fine = "landmark_branch.layers"
    rest = {"fused across parts": 0.0, "unattributed": 0.0}
    rows = {
        "torch eager": [
            part(f"{fine}.0.qamem", 2.0, 5e8),
            part(f"{fine}.0.feedforward", 3.0, 1e9),
            part(f"{fine}.1.qamem", 2.0, 5e8),
            *(part(name, time, 0.0) for name, time in {**rest, "between layers": 1.0}.items()),
        ],
        "openvino-bf16": [
            part("normalise", 1.0, 0.0),
            part("backbone", 7.0, 1e9),
            *(part(name, time, 0.0) for name, time in {**rest, "between layers": 2.0}.items()),
        ],
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
    (folder / report_name("graph")).write_text("{}")
    filmed = {"runs": [{"video": "/root/still.mp4"}]}
    (folder / report_name("video")).write_text(json.dumps(filmed))
    for name in published_engines():
        (folder / f"verify-1-{name}.json").write_text(json.dumps(judged(name)))
    return folder


def judged(name: str) -> dict:
    """Of `verify`, with folders of this machine in it."""
    interval = {"low": -0.001, "high": 0.009}
    gates = [
        {"name": f"{output}/{metric}", "unit": "", "verdict": verdict, "value": 0.004,
         "interval": interval, "margin": 0.05}
        for metric, (output, verdict) in {
            "nme": ("landmarks", "pass"), "z5_published": ("vertices", "pass"),
            "z5_defined": ("vertices", "reported"), "chamfer": ("vertices", "pass"),
            "pose_error": ("rotation", "fail"), "movement_p99": ("rotation", "pass"),
            "coefficients_p99": ("params", "pass"),
        }.items()
    ]  # fmt: skip
    metrics = [
        {"metric": gate["name"].partition("/")[2], "engine": 3.834, "reference": 3.83,
         "difference": 0.004, "interval": interval} for gate in gates[:5]
    ]  # fmt: skip
    return {
        "schema": 1, "verdict": "fail", "images": 4096, "gates": gates, "metrics": metrics,
        "subject": {
            "runtime": "openvino", "runtime_version": "2026", "recipe": name, "precision": "int8",
            "checkpoint_sha256": "0", "engine": "/root/engines", "reference": "/root/full",
        },
        "evidence": {"item_ids": ["a"]}, "tensors": [], "seconds": {},
    }  # fmt: skip


def test_published_reports_take_the_place_of_earlier_ones_and_make_tables(
    out: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    earlier = results / f"2020-01-01-{BENCH}"
    earlier.write_text("{}")
    (results / "2020-01-01-h100-bench.json").write_text("{}")
    published = publish(out, results)
    reports = [report_name(step) for step in (*MEASURED, PARITY)]
    assert [path.name[11:] for path in published] == reports
    assert sorted(path.name for path in results.iterdir()) == sorted(
        ["2020-01-01-h100-bench.json", *(path.name for path in published)]
    )
    assert json.loads(published[0].read_text())["durations"] == []
    assert not any("/root" in path.read_text() for path in published)
    beside = publish(out, results, machine="other")
    assert [path.name[11:] for path in beside] == [
        f"other-{step}.json" for step in (*MEASURED, PARITY)
    ]
    assert all(path.exists() for path in published)

    def page(view: str) -> str:
        return filled(f"<!-- results: {view} -->\n<!-- end of results -->\n", results)

    rows = page(f"*-{BENCH}")
    assert "| openvino-bf16 | 16 | float32 | inconclusive | 160 | 9.00 [8.55, 9.45]" in rows
    assert "| 80% [76%, 85%] |" in rows
    assert "Under 100 calls p99 is close to the slowest one: openvino-bf16 at 16 (9)." in rows
    assert "Still drifting when counting began: openvino-bf16 at 16." in rows
    matrix = page(f"*-{BENCH} matrix")
    assert "| torch eager | float32 | - | 10.0 | - |" in matrix
    assert "| openvino-bf16 | float32 | pass, inconclusive | 80.0 (8.0 times) | 160.0" in matrix
    goals = page(f"*-{BENCH} goals")
    assert "| onnxruntime-fp32 | 1 | 1.7 times PyTorch | 1.60 [1.52, 1.68] | missed |" in goals
    assert "| openvino-bf16 | 1 | 7 times PyTorch | 8.00 [7.60, 8.40] | met |" in goals
    assert "| openvino-bf16 | 16 | 75% of the ceiling | 80% [76%, 85%] | met |" in goals
    assert "| openvino-int8-backbone | 1 | 115 images/s | - | not measured |" in goals
    assert "| torch eager | 1 | 10.0 |" in page(f"*-{BENCH} stages")
    shown = page(f"*-{MODULES}")
    assert "| ms (GFLOP/s) | torch eager | openvino-bf16 |" in shown
    assert "| landmark_branch.layers.*.qamem | 4.00 (250) | - |" in shown
    assert "| landmark_branch.layers.*.feedforward | 3.00 (333) | - |" in shown
    assert shown.index("| normalise | - | 1.00 |") < shown.index("| backbone | - | 7.00 (143) |")
    assert shown.index("| backbone |") < shown.index("| landmark_branch")
    assert "| fused across parts |" not in shown
    assert "| between layers | 1.00 | 2.00 |" in shown
    assert "| a call | 10.0 | 10.0 |" in shown
    assert "| a call, not recorded | 9.00 | 9.00 |" in shown
    cost = page(f"*-{report_name(PARITY)}")
    assert f"| openvino {INT8} | ± |" in cost
    assert "| NME | 3.830 | 3.834 (+0.004 [-0.001, 0.009]) | 0.05 |" in cost
    assert "| rotation p99, " in cost
    assert "| params coefficients p99, " in cost
    assert "| gates |  | fail | 5 of 6 |" in cost
    assert "4096 heads" in cost
    with pytest.raises(UserError, match="makes no table weather"):
        page(f"*-{BENCH} weather")
    with pytest.raises(UserError, match=r"nothing.json makes no table"):
        page("nothing.json")
    assert "\nNot measured yet.\n" in page("*-nothing.json")


def test_the_graphs_goals_are_held_to_its_ratios(tmp_path: Path) -> None:
    ratio = {
        "runtime": "OpenVINO", "precision": "bfloat16", "over": "plain export", "value": 1.01,
        "interval": {"low": 0.97, "high": 1.05},
    }  # fmt: skip
    more = {"runtime": "ONNX Runtime", "precision": "float32", "over": "plain export",
            "value": 1.11, "interval": {"low": 1.09, "high": 1.13}}  # fmt: skip
    text = {"backbone_share": 0.76, "ratios": [ratio, more], "before": BEFORE, "disturbed": None}
    (tmp_path / "a.json").write_text(json.dumps(text))
    page = filled("<!-- results: a.json goals -->\n<!-- end of results -->\n", tmp_path)
    assert "| OpenVINO | bfloat16 | plain export | 1.2 | 1.010 [0.970, 1.050] | missed |" in page
    assert "| ONNX Runtime | float32 | plain export | 1.1 | 1.110 [1.090, 1.130] | open |" in page
    assert "| OpenVINO | bfloat16 | backbone alone | 0.6 | - | not measured |" in page


def test_a_goal_within_the_interval_is_open(out: Path, tmp_path: Path) -> None:
    found = report()
    found["rows"][1] |= {"speedup": 1.7, "interval": {"low": 1.6, "high": 1.8}}
    (tmp_path / "a.json").write_text(json.dumps(found))
    text = filled("<!-- results: a.json goals -->\n<!-- end of results -->\n", tmp_path)
    assert "| 1.70 [1.60, 1.80] | open |" in text


def test_a_goal_of_other_cpus_is_left_out(out: Path, tmp_path: Path) -> None:
    found = report()
    found["before"] = BEFORE | {"instructions": ["avx512_bf16"]}
    (tmp_path / "a.json").write_text(json.dumps(found))
    text = filled("<!-- results: a.json goals -->\n<!-- end of results -->\n", tmp_path)
    assert "| openvino-bf16 | 1 |" not in text
    assert "| openvino-bf16 | 16 | 75% of the ceiling |" in text


def test_nothing_is_published_without_all_reports(out: Path, tmp_path: Path) -> None:
    for lost in (f"verify-1-{INT8}.json", MODULES):
        (out / lost).unlink()
        with pytest.raises(UserError, match=rf"{lost} cannot be read .*run all steps"):
            publish(out, tmp_path)
    assert not list(tmp_path.glob("*.json"))


VERDICT = f"verify 1 {INT8}"


@pytest.mark.parametrize(
    ("failed", "published"),
    [
        ({}, True),
        ({VERDICT: 1}, True),
        ({"video": 1}, True),
        ({"video": 2}, False),
        ({"bench": 1}, False),
    ],
)
def test_what_was_found_is_published_a_failed_run_is_not(
    failed, published, tmp_path, monkeypatch, capsys
) -> None:
    ran = [
        Ran(name=name, seconds=1.0, code=failed.get(name, 0), told="")
        for name in (VERDICT, *MEASURED)
    ]
    done: list[str] = []
    monkeypatch.setattr(cpu_check, "run_steps", lambda *_: ran)
    monkeypatch.setattr(cpu_check, "publish", lambda out, machine: done.append("published") or [])
    monkeypatch.setattr(cpu_check, "fill_pages", lambda words: done.append("filled"))
    assert main(options(tmp_path, publish=True)) == int(bool(failed))
    assert done == (["published", "filled"] if published else [])
    done.clear()
    main(options(tmp_path))
    del ran[-1]  # only some steps were asked for
    assert main(options(tmp_path, publish=True)) == 1
    assert not done
    assert f"{MEASURED[-1]} did not run to the end" in capsys.readouterr().out
