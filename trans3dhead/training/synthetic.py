"""A checkpoint from nothing: render heads, train on them, keep the result under a hash."""

import hashlib
from pathlib import Path

from engines.records import to_json
from trans3dhead.head.model import HeadModel
from trans3dhead.presets import Preset
from trans3dhead.synth.dataset import write_dataset
from trans3dhead.training.checkpoint import CheckpointRecord, load_checkpoint
from trans3dhead.training.keeping import CHECKPOINT_FILE, Keeping
from trans3dhead.training.run import ONCE, TRAIN_SPLIT, VALIDATION_SPLIT, train_folder
from trans3dhead.training.world import ALONE, World

HELD_OUT = 200
"""Rendered heads that are measured on and never trained on."""
HASH_DIGITS = 12


def train_rendered(
    preset: Preset,
    *,
    head: HeadModel,
    count: int,
    store: Path,
    world: World = ALONE,
    workers: int = 0,
    keeping: Keeping = ONCE,
) -> tuple[Path, CheckpointRecord]:
    """Render `count` heads and train on them; what is in the store already is not made again.

    Args:
        preset: what is trained, and how; the rendered heads follow from its seed.
        head: the head model.
        count: training items.
        store: gets a folder of rendered heads, and a folder PRESET-HASH for the checkpoint, with
            the hash taken over configuration, head model and count.
        world, workers, keeping: as in `train_folder`.

    Returns:
        The checkpoint's path and what it says about itself.
    """
    folder = store / f"{preset.name}-{configuration_hash(preset, head, count)}"
    path = folder / CHECKPOINT_FILE
    if path.exists():
        return path, load_checkpoint(path)
    seed = preset.training.seed
    data = store / f"heads-{head.sha256[:HASH_DIGITS]}-{seed}"
    with world.leader_first():
        for split, number in ((TRAIN_SPLIT, count), (VALIDATION_SPLIT, HELD_OUT)):
            write_dataset(data, split, number, seed, head)
    record = train_folder(
        preset,
        head=head,
        data=data,
        out=folder,
        world=world,
        workers=workers,
        keeping=keeping,
    )
    return path, record


def configuration_hash(preset: Preset, head: HeadModel, count: int) -> str:
    """The first digits of a sha256 over all that decides what is trained."""
    text = f"{to_json(preset)}{head.sha256}{count}"
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
