"""Does each part of the method help? The same training with and without it, over several seeds.

Every run is a process of its own, forked after the labels were read once; a run that is finished
is not made again. The runs of one seed see the same crops in the same order.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from engines.errors import UserError
from engines.files import write_whole
from engines.machine import Machine, this_machine
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.evaluation import ConstantAnswer, Evaluation, evaluate
from trans3dhead.head.model import HeadModel
from trans3dhead.presets import Preset, hasten, preset, shrink
from trans3dhead.training.average_face import average_face, mean_rotation
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.keeping import CHECKPOINT_FILE, Keeping
from trans3dhead.training.labels import LabelledHeads, read_labels
from trans3dhead.training.predictor import NetworkPredictor
from trans3dhead.training.provenance import library_versions
from trans3dhead.training.run import TRAIN_SPLIT, VALIDATION_SPLIT, train_labelled
from trans3dhead.training.synthetic import configuration_hash
from trans3dhead.training.world import join_world

SIZES: dict[str, Callable[[Preset], Preset]] = {"tiny": shrink, "full": hasten}
"""How the paper's presets are brought to what a CPU, or a GPU, trains in minutes."""
VARIANTS = ("baseline", "qamem", "qamem-euler", "paper", "only-3dmm")
"""Rows of the paper's Tables 3 and 7 that are compared by default."""
RESULT_FILE = "result.json"
LOG_FILE = "run.txt"
POLL = 0.2
"""Seconds between two looks at the running processes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained. Every run has the same budget."""

    size: str = "tiny"
    """Key of `SIZES`."""
    variants: tuple[str, ...] = VARIANTS
    """Names of presets."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Weights and the order of the crops follow from them; all train on the same heads."""
    samples: int = 40_000
    """Training samples of each run, repetitions counted."""
    heads: int = 4000
    """Training items."""
    unseen: int = 300
    """Items that the runs are measured on."""

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            known = " or ".join(SIZES)
            raise UserError(f"size {self.size!r} came; expected {known}; choose one of these")
        for name in ("variants", "seeds"):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                raise UserError(f"{name} are {given}; expected different ones; give at least one")
        for name in ("samples", "heads", "unseen"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected at least 1")

    def runs(self) -> list[tuple[str, Preset]]:
        """Seed after seed, every variant's name and what is trained for it."""
        return [(name, self._run(name, seed)) for seed in self.seeds for name in self.variants]

    def _run(self, name: str, seed: int) -> Preset:
        chosen = SIZES[self.size](preset(name))
        training = replace(chosen.training, samples=self.samples, minutes=None, seed=seed)
        return replace(chosen, training=training)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training and what came of it, on heads it never saw."""

    variant: str
    seed: int
    metrics: dict[str, float]
    """Metric to its mean over the unseen items; without the landmarks' where there are none."""
    baselines: dict[str, dict[str, float]]
    """Constant answer to the metrics it reaches."""
    seconds: float
    """Of the training, its crops included."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """All runs of a plan."""

    plan: Plan
    runs: tuple[Run, ...]
    machine: Machine = field(default_factory=this_machine)
    """Where the tables were made; runs kept from before may come from another."""
    versions: dict[str, str] = field(default_factory=library_versions)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def study(
    plan: Plan,
    head: HeadModel,
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    at_once: int = 1,
    workers: int = 0,
    tell: Callable[[str], None] = print,
) -> Study:
    """Train every run of a plan that is not finished yet.

    Args:
        plan: what is trained.
        head: the head model of the data.
        data: a folder with `plan.heads` items in "train" and `plan.unseen` in "val".
        out: gets a folder a run, with its checkpoint, log and result.
        device: torch's name of it; shared by all runs.
        at_once: runs side by side.
        workers: processes that make crops, for each run.
        tell: hears a line whenever a run ends.

    Raises:
        UserError: the data is broken, or a run failed (the others are finished first and kept).
    """
    folders = {_folder(out, run, head, plan.heads): (name, run) for name, run in plan.runs()}
    missing = [folder for folder in folders if not (folder / RESULT_FILE).exists()]
    if missing:
        train, unseen = (
            read_labels(HeadDataset(data, split), head) for split in (TRAIN_SPLIT, VALIDATION_SPLIT)
        )

        def start(folder: Path) -> None:
            variant, run = folders[folder]
            began = time.monotonic()
            (folder / CHECKPOINT_FILE).unlink(missing_ok=True)  # of a run that was cut off
            torch.set_num_threads(1)
            with join_world(device) as world:
                train_labelled(
                    run,
                    head=head,
                    heads=train,
                    unseen=unseen,
                    out=folder,
                    world=world,
                    workers=workers,
                    keeping=Keeping(resume=True),
                )
            seconds = time.monotonic() - began
            found = _measure(folder, head, train, unseen, device)
            result = Run(
                variant=variant,
                seed=run.training.seed,
                metrics=found.means,
                baselines=found.baselines,
                seconds=seconds,
            )
            write_whole(folder / RESULT_FILE, json.dumps(asdict(result), indent=1) + "\n")

        _side_by_side(missing, start, at_once, tell)
    return Study(
        plan=plan,
        runs=tuple(Run(**json.loads((folder / RESULT_FILE).read_text())) for folder in folders),
    )


def _folder(out: Path, run: Preset, head: HeadModel, heads: int) -> Path:
    return out / f"{run.name}-{run.training.seed}-{configuration_hash(run, head, heads)}"


def _side_by_side(
    folders: Sequence[Path],
    start: Callable[[Path], None],
    at_once: int,
    tell: Callable[[str], None],
) -> None:
    """A forked process for each folder, so many at a time; what they print goes to their logs."""
    context = multiprocessing.get_context("fork")
    waiting, failed = list(folders), []
    running: dict[Path, BaseProcess] = {}
    began = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                folder = waiting.pop(0)
                running[folder] = context.Process(target=_into_log, args=(folder, start))
                running[folder].start()
            time.sleep(POLL)
            for folder in [name for name, process in running.items() if not process.is_alive()]:
                code = running.pop(folder).exitcode
                if code != 0:
                    failed.append(folder)
                what = "done" if code == 0 else f"failed with exit code {code}"
                tell(f"{time.monotonic() - began:6.0f} s  {folder.name} {what}")
    finally:
        for process in running.values():
            process.kill()
    if failed:
        logs = ", ".join(str(folder / LOG_FILE) for folder in failed)
        raise UserError(
            f"{len(failed)} of {len(folders)} runs failed; see {logs}; the same command makes them "
            "anew and keeps the others"
        )


def _into_log(folder: Path, start: Callable[[Path], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    start(folder)


def _measure(
    folder: Path, head: HeadModel, train: LabelledHeads, unseen: LabelledHeads, device: str
) -> Evaluation:
    """All metrics of the checkpoint in a folder, and of those who look at no image."""
    checkpoint = load_checkpoint(folder / CHECKPOINT_FILE)
    size = checkpoint.preset.network.image_size
    constant = {
        "average face": ConstantAnswer(landmarks=average_face(train, size)),
        "mean pose": ConstantAnswer(rotation=mean_rotation(train)),
    }
    predictor = NetworkPredictor(checkpoint.network.to(device), size)
    return evaluate(predictor, unseen.dataset, head, baselines=constant)
