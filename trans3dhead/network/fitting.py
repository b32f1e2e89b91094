"""Do weights fit a network? All that is wrong with them, at once."""

from collections.abc import Mapping

from torch import Tensor

LISTED = 6
"""Names that each kind of fault lists in full; the rest are counted."""


def misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What is missing, unknown or misshapen among weights, a line for each kind of fault.

    Args:
        wanted: the network's own.
        found: those of a file, by the same names.
    """
    shapes = [
        f"{name} ({_shape(found[name])}, expected {_shape(wanted[name])})"
        for name in sorted(wanted.keys() & found.keys())
        if found[name].shape != wanted[name].shape or found[name].dtype != wanted[name].dtype
    ]
    kinds = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unknown": sorted(found.keys() - wanted.keys()),
        "misshapen": shapes,
    }
    return [f"{kind} {_listing(names)}" for kind, names in kinds.items() if names]


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
