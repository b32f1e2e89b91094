"""What makes a row of a throughput table less sure than it looks."""

from collections.abc import Sequence
from dataclasses import dataclass

FEW_CALLS = 100
"""With fewer, p99 is about the slowest call."""


@dataclass(frozen=True)
class Doubt:
    """What is known of how a row was timed."""

    name: str
    batch: int
    calls: int
    """Counted ones."""
    settled: bool
    """Whether its times had settled before counting began."""


def doubt_lines(rows: Sequence[Doubt]) -> list[str]:
    """One sentence for the rows of few calls, one for those that had not settled."""
    few = [f"{row.name} at {row.batch} ({row.calls})" for row in rows if row.calls < FEW_CALLS]
    drifting = [f"{row.name} at {row.batch}" for row in rows if not row.settled]
    lines = []
    if few:
        lines.append(f"Under {FEW_CALLS} calls p99 is close to the slowest one: {', '.join(few)}.")
    if drifting:
        lines.append(f"Still drifting when counting began: {', '.join(drifting)}.")
    return lines
