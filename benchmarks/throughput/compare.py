"""`bench compare`: did a row become slower from one run to another?

Two runs share no rounds, so each is resampled on its own, and the ratio's interval holds both runs'
scatter. What it cannot hold is a machine that was slower as a whole during one of them; a row that
both runs have in common and that nothing touched shows that.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.parity.statistics import MIN_IMAGES, SEED, Bootstrap, Interval
from benchmarks.throughput.results import SCHEMA
from engines.errors import UserError
from engines.records import read_json

Change = Literal["slower", "faster", "same", "open"]
THRESHOLD = 0.05
"""Share of its speed that a row may lose by default."""


@dataclass(frozen=True, kw_only=True)
class SavedRow:
    """What a run's file says of a row."""

    name: str
    batch: int
    precision: str
    rounds: tuple[float, ...]
    """Milliseconds an image in each round."""

    @property
    def images_per_second(self) -> float:
        """Mean over rounds."""
        return 1000 / float(np.mean(self.rounds))


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """What `bench run --json` wrote, as far as it is compared."""

    path: str
    machine: str
    rows: tuple[SavedRow, ...]


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """A row in both runs."""

    name: str
    batch: int
    before: float
    """Images a second."""
    after: float
    speedup: float
    """After over before."""
    interval: Interval | None
    """Of the speedup, at 95 %; None where a run has too few rounds."""
    change: Change


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs, row by row."""

    before: str
    after: str
    same_machine: bool
    threshold: float
    rows: tuple[RowChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    @property
    def regressed(self) -> tuple[RowChange, ...]:
        """The rows that lost more than the threshold, by the whole interval."""
        return tuple(row for row in self.rows if row.change == "slower")

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"regressed": [row.name for row in self.regressed]}


def read_run(path: Path) -> SavedRun:
    """What a file of `bench run --json` says; a UserError where it is another."""
    found = read_json(path)
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA or "rows" not in found:
        raise UserError(
            f"{path} has schema {schema}; expected {SCHEMA}, of `trans3dhead bench run --json`; "
            "measure anew with this version"
        )
    try:
        rows = tuple(_row(row) for row in found["rows"])
        machine = found["before"]["machine"]
        name = str(machine["gpu"] or machine["cpu"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} lacks {error}; expected a whole file of `bench run`; measure anew"
        ) from None
    return SavedRun(path=str(path), machine=name, rows=rows)


def _row(found: Mapping[str, Any]) -> SavedRow:
    return SavedRow(
        name=found["name"],
        batch=found["batch"],
        precision=found["precision"],
        rounds=tuple(found["rounds"]),
    )


def compare_runs(before: SavedRun, after: SavedRun, threshold: float = THRESHOLD) -> Comparison:
    """Hold one run against another.

    Args:
        threshold: share of its speed that a row may lose, in [0, 1).

    Raises:
        UserError: the threshold is none, or the runs have no row in common.
    """
    if not 0 <= threshold < 1:
        raise UserError(f"--threshold {threshold:g} came; expected a share in [0, 1), as 0.05")
    old, new = ({(row.name, row.batch): row for row in run.rows} for run in (before, after))
    common = [key for key in old if key in new]
    if not common:
        raise UserError(
            f"{before.path} and {after.path} have no row in common "
            f"({_named(old)}; {_named(new)}); expected the same engines at the same batch sizes"
        )
    return Comparison(
        before=before.path,
        after=after.path,
        same_machine=before.machine == after.machine,
        threshold=threshold,
        rows=tuple(_change(old[key], new[key], threshold) for key in common),
        only_before=tuple(_label(key) for key in old if key not in new),
        only_after=tuple(_label(key) for key in new if key not in old),
    )


def _change(before: SavedRow, after: SavedRow, threshold: float) -> RowChange:
    slow, fast = np.asarray(before.rounds), np.asarray(after.rounds)
    interval = None
    if min(len(slow), len(fast)) >= MIN_IMAGES:
        # two seeds: the runs' rounds are no pairs
        first, second = Bootstrap(len(slow), seed=SEED), Bootstrap(len(fast), seed=SEED + 1)
        ratios = first.means(slow) / second.means(fast)
        tail = min(first.tail, second.tail)
        low, high = np.quantile(ratios, [tail, 1 - tail])
        interval = Interval(float(low), float(high))
    return RowChange(
        name=before.name,
        batch=before.batch,
        before=before.images_per_second,
        after=after.images_per_second,
        speedup=float(slow.mean() / fast.mean()),
        interval=interval,
        change=_judged(interval, threshold),
    )


def _judged(interval: Interval | None, threshold: float) -> Change:
    """Slower: by more than the threshold, the whole interval. Same: the whole interval within."""
    if interval is None:
        return "open"
    slowest, fastest = 1 - threshold, 1 / (1 - threshold)
    if interval.high < slowest:
        return "slower"
    if interval.low > fastest:
        return "faster"
    return "same" if slowest <= interval.low and interval.high <= fastest else "open"


def _label(key: tuple[str, int]) -> str:
    return f"{key[0]} at {key[1]}"


def _named(rows: Mapping[tuple[str, int], SavedRow]) -> str:
    return ", ".join(map(_label, rows))
