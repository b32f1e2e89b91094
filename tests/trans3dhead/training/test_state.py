"""A training that was cut off, by whatever, ends with the weights of one that was not."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.keeping import CHECKPOINT_FILE, STATE_FILE
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.loop import Training, step_seed
from trans3dhead.training.state import read_state, write_state

HEAD = builtin_head()
PROGRAM = Path(__file__).with_name("trained_here.py")
PATIENCE = 120
"""Seconds that a training of half a minute may take where other tests run beside it."""


def taken(training: Training, steps: int) -> Training:
    """A training, taken to a step."""
    for progress in training.steps():
        if progress.step == steps:
            break
    return training


def hard(small: Preset, **changes: object) -> Preset:
    """Everything on that has a state: dropout, averaged weights, and an odd batch."""
    training = replace(small.training, batch=6, samples=6 * 8, ema_decay=0.9)
    return replace(
        small,
        network=replace(small.network, dropout=0.1),
        training=replace(training, **changes),
    )


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_training_taken_up_again_ends_bit_for_bit_the_same(
    precision: str, small: Preset, heads: LabelledHeads, tmp_path: Path
) -> None:
    preset = hard(small, precision=precision)
    whole = taken(Training(preset, HEAD, heads), 8)
    first = taken(Training(preset, HEAD, heads), 5)  # 30 samples of 16 items: within an epoch
    write_state(tmp_path / "state", *first.state(evaluations=2, best=3.5))
    state = read_state(tmp_path / "state")
    assert (state.record.evaluations, state.record.best, state.record.step) == (2, 3.5, 5)
    second = Training(preset, HEAD, heads)
    second.restore(state)
    assert second.samples_seen == 30
    taken(second, 8)
    for one, other in ((whole.network, second.network), (whole.result, second.result)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    assert whole._update.scaler.state_dict() == second._update.scaler.state_dict()
    assert not torch.equal(whole.network.projection.weight, first.network.projection.weight)


def test_a_part_that_is_lost_shows(small: Preset, heads: LabelledHeads, tmp_path: Path) -> None:
    """Adam's memory, the averaged weights and the step all count."""
    preset = hard(small)
    whole = taken(Training(preset, HEAD, heads), 8)
    record, tensors = taken(Training(preset, HEAD, heads), 5).state(evaluations=0, best=None)
    spoilt = {name: torch.zeros_like(value) for name, value in tensors.items()}
    changes = [
        (
            record,
            {
                name: spoilt[name] if name.startswith(start) else value
                for name, value in tensors.items()
            },
        )
        for start in ("optimiser.", "average.", "network.")
    ]
    for record_there, tensors_there in [*changes, (replace(record, step=4), tensors)]:
        write_state(tmp_path / "state", record_there, tensors_there)
        second = Training(preset, HEAD, heads)
        second.restore(read_state(tmp_path / "state"))
        taken(second, 8)
        assert not torch.equal(whole.result.projection.weight, second.result.projection.weight)


def test_steps_processes_and_seeds_draw_numbers_of_their_own() -> None:
    seeds = {step_seed(seed, step, rank) for seed in (0, 1) for step in range(9) for rank in (0, 1)}
    assert len(seeds) == 36
    assert step_seed(1, 2, 3) == step_seed(1, 2, 3)


def train(data: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    how = ("--preset", "small", "--samples", "240", "--save-every", "4", "--evaluations", "1")
    return subprocess.Popen(
        [
            sys.executable,
            str(PROGRAM),
            "train",
            "--data",
            str(data),
            "--out",
            str(out),
            *how,
            *words,
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_process_killed_in_mid_epoch_is_taken_up_again(data: Path, tmp_path: Path) -> None:
    undisturbed, killed = train(data, tmp_path / "whole"), train(data, tmp_path / "cut")
    state, deadline = tmp_path / "cut" / STATE_FILE, time.monotonic() + PATIENCE
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / CHECKPOINT_FILE).exists()
    assert read_state(state).record.step < 30
    refused = train(data, tmp_path / "cut")
    assert "of a training that did not end" in refused.communicate(timeout=PATIENCE)[0]
    assert refused.returncode == 2
    resumed = train(data, tmp_path / "cut", "--resume")
    for process in (resumed, undisturbed):
        told = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, told
    one, other = (load_checkpoint(tmp_path / name / CHECKPOINT_FILE) for name in ("whole", "cut"))
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
    assert one.results == other.results
    assert one.samples_seen == other.samples_seen == 240
    assert not state.exists()


@pytest.fixture(scope="module")
def state_file(
    small: Preset, heads: LabelledHeads, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("state") / STATE_FILE
    write_state(path, *Training(small, HEAD, heads).state(evaluations=0, best=None))
    return path


def test_another_configuration_head_or_data_is_refused_and_named(
    state_file: Path, small: Preset, heads: LabelledHeads
) -> None:
    other = replace(small, training=replace(small.training, learning_rate=1.0, ema_decay=0.5))
    training = Training(other, replace(HEAD, name="other"), heads)
    with pytest.raises(UserError) as caught:
        training.restore(read_state(state_file))
    message = str(caught.value)
    assert "preset.training.learning_rate was 0.0002 and is 1.0" in message
    assert "preset.training.ema_decay was None and is 0.5" in message
    assert "head.name was builtin and is other" in message and "items" not in message


def test_files_that_are_no_state_are_refused(state_file: Path, tmp_path: Path) -> None:
    cut, bare, newer = (tmp_path / name for name in ("cut", "bare", "newer"))
    cut.write_bytes(state_file.read_bytes()[:-1])
    save_file({"x": torch.zeros(1)}, bare)
    save_file(load_file(state_file), newer, {"trans3dhead-training": '{"schema": 99}'})
    for path, words in (
        (cut, "is not a whole safetensors file"),
        (bare, "holds no training of schema 1"),
        (newer, "holds no training of schema 1"),
    ):
        with pytest.raises(UserError, match=words):
            read_state(path)


def test_a_write_that_fails_leaves_the_state_before(
    state_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / STATE_FILE
    path.write_bytes(state_file.read_bytes())
    state = read_state(path)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_state(path, replace(state.record, step=7), state.tensors)
    assert path.read_bytes() == state_file.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
