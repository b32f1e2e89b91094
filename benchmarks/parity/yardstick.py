"""What an engine is held against: the bundle's reference, or a checkpoint on a labelled folder."""

import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from benchmarks.parity.outputs import Progress
from engines.bundle import REFERENCE_FILE, Bundle, Reference
from engines.errors import ContractError, UserError


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Images, PyTorch's answers and the truth, with where they come from."""

    reference: Reference
    sha256: str
    """Of the whole reference, whatever part of it is judged by."""
    source: str
    """In words."""


def bundled(bundle: Bundle, limit: int | None) -> Yardstick:
    """The bundle's reference; its first so many images where there is a limit.

    Raises:
        UserError: the file is missing, altered or holds what is no number; the limit is below 1.
    """
    _check_limit(limit)
    reference = bundle.reference()
    chosen = {
        field.name: value[:limit]
        for field in fields(reference)
        if (value := getattr(reference, field.name)) is not None
    }
    for name, value in chosen.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ContractError(
                f"{bundle.folder / REFERENCE_FILE}: {name} hold NaN or infinity; expected "
                "numbers; look at the checkpoint, then export anew"
            )
    return Yardstick(
        reference=replace(reference, **chosen),
        sha256=bundle.contract.files[REFERENCE_FILE],
        source=f"the bundle's {REFERENCE_FILE}",
    )


def measured_anew(
    bundle: Bundle,
    checkpoint: Path,
    data: Path,
    *,
    split: str,
    limit: int | None,
    head: Path | None,
    progress: Progress,
) -> Yardstick:
    """What a checkpoint answers in eager float32 for a labelled folder. Needs torch.

    Args:
        data: the folder around DAD-3DHeadsDataset.
        split: of it; never the one trained on.
        limit: so many items, drawn by a fixed seed; all where there is none.
        head: folder of the checkpoint's head model, where it is not the built-in one.

    Raises:
        UserError: something is missing, broken, or does not fit the bundle.
    """
    from export.reference import dataset_photos, make_reference
    from trans3dhead.data.dad3dheads import HeadDataset
    from trans3dhead.head.source import head_by_identity
    from trans3dhead.training.checkpoint import load_checkpoint

    _check_limit(limit)
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


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit} came; expected at least 1 image; leave it out for all")
