"""Engine folders around a stand-in's plan, and machines that seem to run it."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import standins
from engines import runtime, tensorrt_engine, tensorrt_flavours
from engines.bundle import Bundle
from engines.errors import UserError
from engines.files import sha256_of
from engines.machine import Machine
from engines.manifest import BatchProfile, Manifest, write_manifest
from engines.precision import Effective
from engines.tensorrt_engine import PLAN_FILE
from standins.gpu import Gpu

GPUS = {
    "tensorrt": Machine(cpu="c", gpu="H100", compute_capability="9.0", cuda="13.0"),
    "tensorrt-rtx": Machine(cpu="c", gpu="RTX 4090", compute_capability="8.9", cuda="13.0"),
}
PROFILES = (BatchProfile(min=1, opt=4, max=8), BatchProfile(min=4, opt=32, max=40))
SCRATCH = 5000


def plan_text(bundle: Path, **changes: Any) -> str:
    """A stand-in's plan that keeps the bundle's contract, but for the changes."""
    contract = Bundle.open(bundle).contract
    size = -1 if contract.batch is None else contract.batch
    kinds = {"uint8": "UINT8", "float32": "FLOAT"}
    tensors = [
        {
            "name": spec.name,
            "input": spec in contract.inputs,
            "dtype": kinds[spec.dtype],
            "shape": spec.shape(size),
        }
        for spec in (*contract.inputs, *contract.outputs)
    ]
    profiles = [[profile.min, profile.opt, profile.max] for profile in PROFILES]
    plan = {"tensors": tensors, "profiles": profiles, "scratch": SCRATCH, "layers": []}
    return json.dumps(plan | changes)


def write_engine(bundle: Path, flavour: str, text: str) -> Path:
    """An engine folder around a stand-in's plan."""
    folder = bundle / "engines" / "plan"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN_FILE).write_text(text)
    contract = Bundle.open(bundle).contract
    manifest = Manifest(
        runtime=flavour,
        runtime_version="10.4.0",
        provider=flavour,
        recipe="fp16",
        onnx_sha256=contract.files["fp16.onnx"],
        contract_sha256=sha256_of(bundle / "contract.json"),
        profiles=PROFILES,
        settings={"optimization_level": None, "workspace": None, "polygraphy": "0"},
        name="plan",
        effective=Effective(precision="float16", low_flops_promised=0.4, low_flops_found=0.4),
        machine=GPUS[flavour],
        seconds=1.0,
        file=PLAN_FILE,
        files={PLAN_FILE: sha256_of(folder / PLAN_FILE)},
        size_bytes=len(text),
    )
    write_manifest(folder, manifest)
    return folder


def put_machine(monkeypatch: pytest.MonkeyPatch, flavour: str, *packages: str) -> Gpu:
    """A machine with a GPU, a flavour of TensorRT and some packages; all of them stand-ins."""
    gpu = standins.install(monkeypatch, *packages)
    trt = standins.load("tensorrt", "tensorrt_api.py")
    if flavour == "tensorrt":
        del trt.DynamicShapesKernelSpecializationStrategy
    monkeypatch.setitem(importlib.sys.modules, tensorrt_flavours.FLAVOURS[flavour].module, trt)
    monkeypatch.setattr(
        tensorrt_flavours, "distribution_version", lambda *_: ("tensorrt_cu12", "10.4.0")
    )
    for module in (runtime, tensorrt_engine):
        monkeypatch.setattr(module, "this_machine", lambda: GPUS[flavour])
    return gpu


def standin_answers(images: np.ndarray) -> dict[str, np.ndarray]:
    answer = standins.load("any", "tensorrt_api.py").answer
    means = images.reshape(len(images), -1).mean(axis=1)
    shapes = {"landmarks": (68, 2), "params": (413,), "rotation": (3, 3)}
    return {name: answer(means, (len(images), *shape)) for name, shape in shapes.items()}


def need_real(flavour: str) -> None:
    """Skip where a flavour is not installed, or does not serve this GPU."""
    pytest.importorskip(tensorrt_flavours.FLAVOURS[flavour].module)
    try:
        tensorrt_engine.runtime(flavour).check_running()
    except UserError as error:
        pytest.skip(str(error))
