"""What an engine is held against: images, PyTorch's answers, the truth."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    check_limit(limit)
    reference = bundle.reference()
    chosen = part_of(reference, slice(limit))
    for name, value in _arrays(chosen).items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ContractError(
                f"{bundle.folder / REFERENCE_FILE}: {name} hold NaN or infinity; expected "
                "numbers; look at the checkpoint, then export anew"
            )
    return Yardstick(
        reference=chosen,
        sha256=bundle.contract.files[REFERENCE_FILE],
        source=f"the bundle's {REFERENCE_FILE}",
    )


def part_of(reference: Reference, images: slice) -> Reference:
    """Some of the images of a reference."""
    return replace(reference, **{name: value[images] for name, value in _arrays(reference).items()})


def _arrays(reference: Reference) -> dict[str, NDArray[Any]]:
    """What a reference holds, by name; each [n, ...]."""
    found = {field.name: getattr(reference, field.name) for field in fields(reference)}
    return {name: value for name, value in found.items() if value is not None}


def check_limit(limit: int | None) -> None:
    """A UserError where so many images cannot be judged."""
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit} came; expected at least 1 image; leave it out for all")
