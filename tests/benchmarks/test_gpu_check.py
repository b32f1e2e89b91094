"""The list of steps: its commands are ones that exist, and a failure is neither lost nor hidden."""

import importlib
import math
from pathlib import Path

import pytest
import tyro

from benchmarks.gpu_check import Options, steps
from benchmarks.steps import TRANS3DHEAD
from benchmarks.throughput.layer_limit import convolutions, images_per_second
from engines.errors import UserError
from trans3dhead.cli.main import COMMANDS
from trans3dhead.network.config import NetworkConfig

RUNTIMES = {
    "onnxruntime-cuda": ("--runtime", "onnxruntime", "--provider", "cuda"),
    "tensorrt": ("--runtime", "tensorrt"),
}


def test_every_planned_command_is_one_of_ours(tmp_path: Path) -> None:
    planned = steps(Options(out=tmp_path), RUNTIMES)
    names = [step.name for step in planned]
    assert len(set(names)) == len(names)
    ours = [step for step in planned if step.command[: len(TRANS3DHEAD)] == TRANS3DHEAD]
    assert len(ours) == len(planned) - 2  # pytest, and the limit of the layers
    for step in ours:
        words = step.command[len(TRANS3DHEAD) :]
        name = " ".join(words[:2]) if words[0] == "bench" else words[0]
        module = importlib.import_module(f"trans3dhead.cli.{COMMANDS[name].module}")
        tyro.cli(module.Options, args=list(words[len(name.split()) :]))
    for position, step in enumerate(planned):
        assert set(step.needs) <= set(names[:position])


def test_a_trained_checkpoint_is_not_trained_again(tmp_path: Path) -> None:
    planned = steps(Options(out=tmp_path, checkpoint=tmp_path / "c.safetensors"), RUNTIMES)
    assert not {"train", "heads train"} & {step.name for step in planned}


def test_the_backbone_has_the_convolutions_of_resnet50() -> None:
    found = convolutions(NetworkConfig())
    assert sum(found.values()) == 53
    flops = sum(
        count * 2 * inputs * outputs * kernel**2 * math.ceil(side / stride) ** 2
        for (inputs, outputs, kernel, stride, side), count in found.items()
    )
    assert flops == pytest.approx(10.68e9, rel=1e-3)


def test_layers_are_timed_on_a_gpu_only(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="finds no CUDA GPU"):
        images_per_second(convolutions(NetworkConfig()), 1)


@pytest.mark.gpu
def test_the_layers_are_timed_on_the_gpu() -> None:
    assert 0 < images_per_second(convolutions(NetworkConfig()), 2) < math.inf
