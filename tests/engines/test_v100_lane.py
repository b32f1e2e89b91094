"""The V100 lane as far as it goes without a V100: its pinned libraries, in an environment apart.

Downloads about 0.5 GB and takes minutes. PyCUDA compiles against CUDA and TensorRT's libraries
come from NVIDIA, so these two are left out.
"""

import json
import os
import subprocess
import sys
import venv
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("tensorrt", "pycuda")
LIMITS = {"fp32": 0.01, "fp16 emulated": 3.0, "fp16 plain": 3.0}
"""Largest movement of a landmark, crop pixels: random weights, the worst of all points."""
MOVED = {"fp32": 0.001, "fp16": 0.5, "fp16-backbone": 0.5, "bf16": 5.0, "int8-backbone": 12.0}
"""The same for the graph of every recipe."""


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the lane is pinned for Python 3.11")
def test_the_lane_installs_and_a_half_bundle_agrees(tmp_path: Path) -> None:
    from engines.contract import Variant
    from export.exporting import export_bundle
    from export.recipes import RECIPES, QAMemForm
    from export.untrained import save_untrained
    from trans3dhead.head.source import resolve_head
    from trans3dhead.presets import tiny

    save_untrained(tmp_path / "tiny.safetensors", tiny(), resolve_head(None))
    bundles = [
        export_bundle(
            tmp_path / "tiny.safetensors",
            tmp_path / f"{variant}-{'dynamic' if batch is None else 'static'}-{form}",
            recipes=tuple(RECIPES),
            variant=variant,
            batch=batch,
            qamem=form,
            count=8,
        ).folder
        for variant, batch, form in product(get_args(Variant), (None, 2), get_args(QAMemForm))
    ]

    lines = (ROOT / "constraints" / "v100.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", *LEFT_OUT))]
    environment = tmp_path / "lane"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", *pins], check=True, timeout=1800)

    check = Path(__file__).with_name("lane_check.py")
    done = subprocess.run(
        [python, str(check), *map(str, bundles)],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    found = json.loads(done.stdout)
    print(json.dumps(found, indent=1))
    assert found["versions"]["onnxruntime-gpu"].startswith("1.20.")
    assert not found["torch"]
    for name, limit in LIMITS.items():
        assert 0 < found["differences"][name]["landmarks"] < limit
    assert found["precisions"] == {
        "fp32": "float32",
        "fp16 emulated": "fp16 (emulated)",
        "fp16 plain": "effective float32",
    }
    assert len(found["moved"]) == len(bundles) * len(RECIPES)
    for name, movement in found["moved"].items():
        assert 0 < movement < MOVED[name.split()[1]], name
    for provider, refusal in zip(("cuda", "tensorrt"), found["refusals"], strict=True):
        assert f"provider {provider} came; its library does not load here" in refusal
