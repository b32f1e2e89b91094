"""One runner a thread: answers do not depend on the others, and memory does not grow."""

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.building import build_engine
from engines.manifest import BatchProfile
from engines.options import BuildOptions
from engines.runtime import Engine, open_engine

RUNNERS, REQUESTS = 8, 200
SCRIPT = Path(__file__).with_name("many_threads.py")
GROWTH = 1.02
"""Resident memory at the end, by that after every runner's 20th request."""


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_eight_runners_answer_as_one_does(bundle: Path, runtime: str) -> None:
    folder = build_engine(bundle, "fp32", runtime, profiles=[BatchProfile.parse("1,2,4")])
    found = run(folder, cpu_threads=1)
    assert found["differing"] == 0
    assert found["late"] <= GROWTH * found["early"], found


def test_throughput_mode_in_eight_threads(bundle: Path) -> None:
    folder = build_engine(bundle, "fp32", "openvino", options=BuildOptions(mode="throughput"))
    assert run(folder, cpu_threads=min(2, len(os.sched_getaffinity(0))))["differing"] == 0


def test_one_altered_answer_is_counted(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specification = importlib.util.spec_from_file_location("many_threads", SCRIPT)
    assert specification is not None and specification.loader is not None
    many_threads = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(many_threads)
    calls = itertools.count()

    def altered(folder: Path, threads: int) -> Engine:
        engine = open_engine(folder, threads)
        plain = engine.infer

        def infer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            answers = plain(inputs)
            if next(calls) == 30:
                answers["params"][0, 0] = np.nextafter(answers["params"][0, 0], np.float32(9))
            return answers

        monkeypatch.setattr(engine, "infer", infer)
        return engine

    monkeypatch.setattr(many_threads, "open_engine", altered)
    folder = build_engine(bundle, "fp32", "onnxruntime")
    assert many_threads.main(folder, 2, 30, 1)["differing"] == 1


def run(folder: Path, *, cpu_threads: int) -> dict[str, int]:
    """What `many_threads.py` prints."""
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, str(RUNNERS), str(REQUESTS), str(cpu_threads)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found
