"""The two small consumers of a raw plan, run over stand-ins; on hardware they have not run yet."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import standins

EXAMPLES = Path(__file__).parents[2] / "examples"
CPP = Path(standins.__file__).parent / "cpp"
CUDA = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)


def python_consumer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: bytes
) -> dict[str, np.ndarray]:
    (tmp_path / "engine.plan").write_bytes(plan)
    np.save(tmp_path / "images.npy", IMAGES)
    files = [str(tmp_path / name) for name in ("engine.plan", "images.npy", "outputs.npz")]
    monkeypatch.setattr(sys, "argv", ["plan_consumer.py", *files])
    runpy.run_path(str(EXAMPLES / "plan_consumer.py"), run_name="__main__")
    with np.load(files[2]) as outputs:
        return dict(outputs)


def test_the_python_consumer_is_short_and_imports_nothing_of_ours() -> None:
    text = (EXAMPLES / "plan_consumer.py").read_text()
    assert len(text.splitlines()) <= 42
    imported = re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)
    assert imported == ["sys", "pathlib", "numpy", "pycuda", "tensorrt"]


def test_the_python_consumer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = standins.install(monkeypatch, "pycuda", "tensorrt")
    tensors = [
        {"name": "image", "input": True, "dtype": "UINT8", "shape": [-1, 16, 16, 3]},
        {"name": "params", "input": False, "dtype": "FLOAT", "shape": [-1, 413]},
    ]
    plan = {"tensors": tensors, "profiles": [[1, 2, 4]], "scratch": 100}
    outputs = python_consumer(tmp_path, monkeypatch, json.dumps(plan).encode())
    means = IMAGES.reshape(2, -1).mean(axis=1)
    answer = standins.load("any", "tensorrt_api.py").answer
    np.testing.assert_array_equal(outputs["params"], answer(means, (2, 413)))
    assert not gpu.contexts
    with pytest.raises(SystemExit, match="not for this GPU and TensorRT version"):
        python_consumer(tmp_path, monkeypatch, b"cut short")
    assert not gpu.contexts


def compile_consumer(target: Path, cuda_headers: Path, *flags: str) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    subprocess.run(
        ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{CPP}", "-isystem",
         str(cuda_headers), *flags, str(EXAMPLES / "plan_consumer.cpp"), "-o", str(target)],
        check=True,
    )  # fmt: skip


def test_the_cpp_consumer(tmp_path: Path) -> None:
    program = tmp_path / "plan_consumer"
    compile_consumer(program, CPP / "cuda")
    (tmp_path / "images.raw").write_bytes(IMAGES.tobytes())
    (tmp_path / "good.plan").write_text("plan")
    (tmp_path / "bad.plan").write_text("plan of another GPU")

    def run(plan: str, batch: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, plan, str(batch), "16", "images.raw"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("good.plan", 2).stdout == "params.raw: 3304 bytes\n"
    params = np.fromfile(tmp_path / "params.raw", np.float32).reshape(2, 413)
    np.testing.assert_allclose(params[:, 7], IMAGES.reshape(2, -1).mean(axis=1), rtol=1e-6)
    for plan, batch, said in (
        ("bad.plan", 2, "the plan is not for this GPU and TensorRT version"),
        ("good.plan", 3, "the images have another size than BATCH * SIDE * SIDE * 3 bytes"),
        ("missing.plan", 2, "cannot read missing.plan"),
    ):
        answer = run(plan, batch)
        assert (answer.returncode, answer.stderr.strip()) == (1, said)


def test_the_cpp_consumer_compiles_against_cudas_own_headers(tmp_path: Path) -> None:
    candidates = [CUDA, *sorted(Path("/usr/local").glob("cuda-*"))]
    headers = [root / "include" for root in candidates]
    found = [path for path in headers if (path / "cuda_runtime_api.h").is_file()]
    if not found:
        pytest.skip("CUDA's headers are not installed")
    compile_consumer(tmp_path / "plan_consumer.o", found[-1], "-c")
