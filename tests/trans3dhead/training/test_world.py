"""Several processes train as one with the same batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.keeping import CHECKPOINT_FILE, LOG_FILE
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.samples import EpochOrder
from trans3dhead.training.world import ALONE, join_world

PROGRAM = Path(__file__).with_name("trained_here.py")
STEPS = 20


def train(
    processes: int,
    data: Path,
    out: Path,
    *first: str,
    budget: tuple[str, str] = ("--samples", str(8 * STEPS)),
) -> subprocess.CompletedProcess[str]:
    """Train with a batch of 8, as `torchrun` starts them; one process has no `torchrun`."""
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    how = ["--preset", "small", *budget, "--evaluations", "2"]
    return subprocess.run(
        [
            sys.executable,
            *(run if processes > 1 else ()),
            str(PROGRAM),
            *first,
            *("train", "--data", str(data), "--out", str(out), "--json", f"{out}.json", *how),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_two_processes_give_the_loss_curve_of_one(data: Path, tmp_path: Path) -> None:
    curves = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        done = train(processes, data, out, "--fixed-statistics")
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]
        curves[processes] = np.array([line["loss"] for line in lines if "loss" in line])
        assert [line["step"] for line in lines if "nme" in line] == [STEPS // 2, STEPS]
        loaded = load_checkpoint(out / CHECKPOINT_FILE)
        assert loaded.samples_seen == 8 * STEPS
        assert json.loads(Path(f"{out}.json").read_text())["results"] == loaded.results
        assert done.stdout.count("on heads never seen") == 1
    assert len(curves[1]) == STEPS
    assert np.ptp(curves[1]) > 0.1 * curves[1].mean()
    assert curves[2] == pytest.approx(curves[1], rel=1e-5)


def test_a_loss_that_is_not_finite_in_one_process_stops_all_and_is_named(
    data: Path, heads: LabelledHeads, tmp_path: Path
) -> None:
    (first,) = EpochOrder(items=len(heads), batch=8, seed=0, steps=1)
    _, broken = first[1::2][0]  # of the second process's part
    done = train(2, data, tmp_path / "out", "--broken-label", str(broken))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("trans3dhead: ")]
    assert told and all("at step 0 the loss is not finite" in line for line in told)
    assert heads.item_id(broken) in told[0] and "euler nan" in told[0]
    other = heads.item_id(first[0::2][0][1])
    assert other not in told[0]
    assert not (tmp_path / "out" / CHECKPOINT_FILE).exists()


def test_one_process_needs_no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_world("cpu") as world:
        assert world == ALONE and world.leads
        assert world.gather("x") == ["x"] and world.agree("x") == "x"


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="device 'abacus' cannot be used"), join_world("abacus"):
        pass


@pytest.mark.slow
def test_one_clock_decides_for_all_processes(data: Path, tmp_path: Path) -> None:
    done = train(2, data, tmp_path / "out", budget=("--minutes", "0.05"))
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "out" / CHECKPOINT_FILE).samples_seen > 0
