"""What each layer of a network takes, as a runtime's own profile says."""

import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_CALLS = 3
"""Calls that are not counted, before those that are."""
MIN_CALLS = 5


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """One layer as the runtime computes it, which may be several nodes of the graph."""

    name: str
    """The runtime's own."""
    kind: str
    """Its operator, in the runtime's words."""
    nodes: tuple[str, ...]
    """Names that the runtime gives for the graph's nodes it stands for, or for their results; some
    may be names that the graph has not, and there may be none."""
    milliseconds: float
    """Mean of a call."""


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """Every layer of some calls."""

    layers: tuple[LayerTime, ...]
    calls: int
    """Counted."""
    milliseconds: float
    """Mean of a counted call by the host's clock, recording included; what the layers leave of it
    passed between them."""


def repeat(call: Callable[[], object], seconds: float, *, warm: int = WARM_CALLS) -> list[float]:
    """Milliseconds of each counted call, of as many as fit into so many seconds.

    Args:
        warm: calls before them.
    """
    for _ in range(warm):
        call()
    taken: list[float] = []
    while len(taken) < MIN_CALLS or sum(taken) < 1000 * seconds:
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return taken
