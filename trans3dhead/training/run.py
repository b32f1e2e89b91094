"""A training from a labelled folder to a checkpoint file."""

from contextlib import nullcontext
from pathlib import Path

from engines.errors import UserError
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.head.model import HeadModel
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import CheckpointRecord
from trans3dhead.training.keeping import CHECKPOINT_FILE, STATE_FILE, Keeper, Keeping
from trans3dhead.training.labels import LabelledHeads, read_labels
from trans3dhead.training.loop import Training
from trans3dhead.training.state import TrainingState, read_state
from trans3dhead.training.world import ALONE, World

TRAIN_SPLIT, VALIDATION_SPLIT = "train", "val"
ONCE = Keeping()
"""Measured at the end alone."""


def train_folder(
    preset: Preset,
    *,
    head: HeadModel,
    data: Path,
    out: Path,
    world: World = ALONE,
    workers: int = 0,
    keeping: Keeping = ONCE,
) -> CheckpointRecord:
    """Train on a folder's "train" split, measure on its "val" split, write the checkpoint.

    Args:
        preset: what is trained, and how.
        head: the head model that the labels belong to.
        data: a folder in the layout of DAD-3DHeads (SPEC 5).
        out: gets what `keeping` names; all processes must see the same folder.
        world: the processes that train together, and where they compute.
        workers: processes that make crops, for each of them; 0 makes them in this one.
        keeping: how often it is measured and saved.

    Returns:
        What the checkpoint says of itself, in every process.

    Raises:
        UserError: `out` holds a checkpoint, or an unfinished training that is not to be resumed;
            the data is missing or broken; or the loss stopped being finite.
    """
    with world.leader_first():  # it writes the labels' cache, which the others read
        heads, unseen = (
            read_labels(HeadDataset(data, split), head) for split in (TRAIN_SPLIT, VALIDATION_SPLIT)
        )
    return train_labelled(
        preset,
        head=head,
        heads=heads,
        unseen=unseen,
        out=out,
        world=world,
        workers=workers,
        keeping=keeping,
    )


def train_labelled(
    preset: Preset,
    *,
    head: HeadModel,
    heads: LabelledHeads,
    unseen: LabelledHeads,
    out: Path,
    world: World = ALONE,
    workers: int = 0,
    keeping: Keeping = ONCE,
) -> CheckpointRecord:
    """The same with labels that were read already: trains on `heads`, measures on `unseen`."""
    state = _left(out, keeping)
    training = Training(preset, head, heads, world=world)
    if state is not None:
        training.restore(state)
    if len(set(world.gather(training.step))) > 1:
        raise UserError(
            f"the processes see different states in {out}; expected one folder that all of them "
            "see; put it on a shared disk"
        )
    lead = (
        Keeper(
            training,
            out,
            head=head,
            unseen=unseen,
            keeping=keeping,
            state=state,
            workers=workers,
        )
        if world.leads
        else nullcontext()
    )
    with lead as keeper:
        for progress in training.steps(workers=workers):
            if keeper is not None:
                keeper.after(progress)
        record = None if keeper is None else keeper.finish()
    record = world.agree(record)
    assert record is not None  # process 0 has one
    return record


def _left(out: Path, keeping: Keeping) -> TrainingState | None:
    """The state from which to go on, after the folder was looked at."""
    if (out / CHECKPOINT_FILE).exists():
        raise UserError(
            f"{out / CHECKPOINT_FILE} exists already; expected a folder without a checkpoint; name "
            "another or remove the file"
        )
    path = out / STATE_FILE
    if not path.exists():
        return None
    if not keeping.resume:
        raise UserError(
            f"{path} is of a training that did not end; expected a folder without one; go on with "
            "it by --resume, name another folder or remove the file"
        )
    return read_state(path)
