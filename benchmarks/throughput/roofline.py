"""How far each row is from what the machine could do (Williams et al. 2009).

A call takes at least its arithmetic at the best rate any library reached here, and at least its
weights and its images' bytes at the speed of a large copy; the longer of the two binds. What lies
between the layers is left out, caches may hold it, and so is the way from the host to a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.throughput.measure import Work

COPY = "copy"
"""The kind of ceiling that is no product."""
SLACK = 0.05
"""By how much a row may pass its limit before one of the two is said to be wrong: both scatter."""


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best that was seen of one kind."""

    kind: str
    """A precision, or "copy"."""
    value: float
    """Operations a second, a multiply-add counting as 2; of a copy, bytes a second, those read and
    those written both counted."""
    by: str
    """Library and size."""
    device: str = "cpu"
    """cpu or gpu: no row is held to the other's."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The most a row could reach."""

    images_per_second: float
    binds: Literal["arithmetic", "memory"]
    attained: float
    """Share of it that the row reached."""

    @property
    def impossible(self) -> bool:
        """Whether the row passes it: then the ceiling is too low, or the row computes less."""
        return self.attained > 1 + SLACK


def limit_of(
    work: Work | None, ceilings: Sequence[Ceiling], *, batch: int, images_per_second: float
) -> Limit | None:
    """A row's limit; None where its work or a ceiling of its kind is not known."""
    if work is None:
        return None
    values = {ceiling.kind: ceiling.value for ceiling in ceilings if ceiling.device == work.device}
    if work.ceiling not in values or COPY not in values:
        return None
    arithmetic = work.flops / values[work.ceiling]
    memory = (work.weight_bytes / batch + work.image_bytes) / values[COPY]
    most = 1 / max(arithmetic, memory)
    return Limit(
        images_per_second=most,
        binds="arithmetic" if arithmetic >= memory else "memory",
        attained=images_per_second / most,
    )
