"""A training from a labelled folder to a checkpoint file."""

from pathlib import Path

import torch

from engines.errors import UserError
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.head.model import HeadModel
from trans3dhead.presets import Preset
from trans3dhead.training.average_face import average_face
from trans3dhead.training.checkpoint import CheckpointRecord, HeadRecord, save_checkpoint
from trans3dhead.training.labels import LabelledHeads, read_labels
from trans3dhead.training.log import TrainingLog
from trans3dhead.training.loop import train
from trans3dhead.training.validation import constant_answers, validate

CHECKPOINT_FILE = "last.safetensors"
LOG_FILE = "log.jsonl"
TRAIN_SPLIT, VALIDATION_SPLIT = "train", "val"


def train_folder(
    preset: Preset,
    *,
    head: HeadModel,
    data: Path,
    out: Path,
    device: str = "cpu",
    workers: int = 0,
) -> CheckpointRecord:
    """Train on a folder's "train" split, measure on its "val" split, write the checkpoint.

    Args:
        preset: what is trained, and how.
        head: the head model that the labels belong to.
        data: a folder in the layout of DAD-3DHeads (SPEC 5).
        out: gets `CHECKPOINT_FILE` and `LOG_FILE`.
        device: torch's name of it.
        workers: processes that make crops; 0 makes them in this one.

    Raises:
        UserError: `out` holds a checkpoint, the data is missing or broken, there is no such
            device, or the loss stopped being finite.
    """
    heads, unseen = (
        read_labels(HeadDataset(data, split), head) for split in (TRAIN_SPLIT, VALIDATION_SPLIT)
    )
    return train_labelled(
        preset, head=head, heads=heads, unseen=unseen, out=out, device=device, workers=workers
    )


def train_labelled(
    preset: Preset,
    *,
    head: HeadModel,
    heads: LabelledHeads,
    unseen: LabelledHeads,
    out: Path,
    device: str = "cpu",
    workers: int = 0,
) -> CheckpointRecord:
    """The same with labels that were read already: trains on `heads`, measures on `unseen`."""
    path = out / CHECKPOINT_FILE
    if path.exists():
        raise UserError(
            f"{path} exists already; expected a folder without a checkpoint; name another or "
            "remove the file"
        )
    _check_device(device)
    with TrainingLog(out / LOG_FILE) as log:
        trained = train(preset, head, heads, log, device=device, workers=workers)
    size = preset.network.image_size
    results = validate(trained.network, unseen, size, workers=workers)
    record = CheckpointRecord(
        preset=preset,
        head=HeadRecord.of(head),
        items=len(heads),
        samples_seen=trained.samples_seen,
        minutes=trained.minutes,
        results=results | constant_answers(unseen, average_face(heads, size), size),
    )
    save_checkpoint(path, trained.network, record)
    return record


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device {device!r} cannot be used ({reason}); expected one that torch finds here, "
            "such as cpu or cuda; name another"
        ) from error
