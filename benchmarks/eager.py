"""PyTorch asked anew: a checkpoint's eager answers for a labelled folder, to judge an engine by."""

import hashlib
from pathlib import Path

from benchmarks.parity.outputs import Progress
from benchmarks.parity.yardstick import Yardstick, check_limit
from engines.bundle import Bundle
from engines.errors import UserError
from export.reference import dataset_photos, make_reference
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.head.source import head_by_identity
from trans3dhead.training.checkpoint import load_checkpoint


def ask_checkpoint(
    bundle: Bundle,
    checkpoint: Path,
    data: Path,
    *,
    split: str,
    limit: int | None,
    head: Path | None,
    progress: Progress,
) -> Yardstick:
    """What a checkpoint answers in eager float32 for a labelled folder.

    Args:
        data: the folder around DAD-3DHeadsDataset.
        split: of it; never the one trained on.
        limit: so many items, drawn by a fixed seed; all where there is none.
        head: folder of the checkpoint's head model, where it is not the built-in one.

    Raises:
        UserError: something is missing, broken, or does not fit the bundle.
    """
    check_limit(limit)
    loaded = load_checkpoint(checkpoint)
    size, expected = loaded.preset.network.image_size, bundle.contract.image.size
    if size != expected:
        raise UserError(
            f"{checkpoint} takes crops of {size} px; the bundle {bundle.folder} takes {expected}; "
            "give the checkpoint it was exported from"
        )
    count = limit or len(HeadDataset(data, split))
    reference = make_reference(
        dataset_photos(data, split, count),
        loaded.network,
        head_by_identity(loaded.head.name, loaded.head.sha256, head),
        size=size,
        variant=bundle.contract.variant,
        done=lambda done: progress("cropping", done, count),
    )
    return Yardstick(
        reference=reference,
        sha256=hashlib.sha256(reference.to_bytes()).hexdigest(),
        source=f"{checkpoint} on {count} items of {data}, {split}",
    )
