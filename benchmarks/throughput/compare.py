"""`bench compare`: did a row become slower from one run to another?

Two runs share no rounds, so each is resampled on its own, and the ratio's interval holds both runs'
scatter. What it cannot hold is a machine that was slower as a whole during one of them. So the
ratio can be taken of "times the first" instead, each run's row and its first row drawn in pairs,
for they took turns in the same rounds: what slowed both cancels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.statistics import MIN_IMAGES, SEED, Bootstrap, Interval
from benchmarks.throughput.results import SCHEMA
from engines.errors import UserError
from engines.records import differences, read_json

Change = Literal["slower", "faster", "same", "not slower", "open", "differs"]
HELD: tuple[Change, ...] = ("faster", "same", "not slower")
"""Those of a row that kept its speed."""
THRESHOLD = 0.05
"""Share of its speed that a row may lose by default."""
READABLE = (3, SCHEMA)
"""Schemas in which what is read here means the same; 4 changed only ceilings and the order."""
SETTINGS = ("precision", "threads", "in_flight")
"""What decides a row's speed besides its name and batch size, and is no change of the code."""
HARDWARE = ("cpu", "gpu", "cores", "instructions", "governor")
DRIVER = ("driver", "cuda")


@dataclass(frozen=True, kw_only=True)
class SavedRow:
    """What a run's file says of a row."""

    name: str
    batch: int
    settings: Mapping[str, str]
    """Those of `SETTINGS`, in words."""
    rounds: tuple[float, ...]
    """Milliseconds an image in each round."""

    @property
    def label(self) -> str:
        """Name and batch size: one row of a run."""
        return f"{self.name} at {self.batch}"


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """What `bench run --json` wrote, as far as it is compared."""

    path: str
    hardware: Mapping[str, str]
    """Those of `HARDWARE`, in words; what the machine does not say is left out."""
    versions: Mapping[str, str]
    """Of libraries, Python, system and driver."""
    disturbed: str | None
    """What makes its times doubtful."""
    rows: tuple[SavedRow, ...]


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """A row in both runs."""

    name: str
    batch: int
    before: float
    """Images a second, or times the first."""
    after: float
    speedup: float | None
    """After over before; None where the two cannot be compared."""
    interval: Interval | None
    """Of the speedup, at 95 %; None where a run has too few rounds."""
    change: Change
    differs: str | None
    """Why the two cannot be compared."""

    @property
    def label(self) -> str:
        """Name and batch size."""
        return f"{self.name} at {self.batch}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs, row by row."""

    before: str
    after: str
    before_disturbed: str | None
    after_disturbed: str | None
    hardware: tuple[str, ...]
    """What of the machine changed, each in words; empty where it is the same one."""
    versions: tuple[str, ...]
    """Which versions changed, each in words."""
    threshold: float
    times_the_first: bool
    """Whether the ratios are of times the first, and not of images a second."""
    rows: tuple[RowChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    @property
    def regressed(self) -> tuple[RowChange, ...]:
        """The rows that lost more than the threshold, by the whole interval."""
        return tuple(row for row in self.rows if row.change == "slower")

    @property
    def faults(self) -> tuple[str, ...]:
        """The earlier run's rows that have not held their speed, or were not seen to, and what each
        is: slower, open, differs or missing."""
        changed = [f"{row.label}: {row.change}" for row in self.rows if row.change not in HELD]
        return (*changed, *(f"{label}: missing" for label in self.only_before))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {
            "regressed": [row.label for row in self.regressed],
            "faults": list(self.faults),
        }


def read_run(path: Path) -> SavedRun:
    """What a file of `bench run --json` says.

    Raises:
        UserError: it is another file, or not a whole one, or has a row twice.
    """
    found = read_json(path)
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema not in READABLE or "rows" not in found:
        raise UserError(
            f"{path} has schema {schema}; expected {' or '.join(map(str, READABLE))}, of "
            "`trans3dhead bench run --json`; measure anew with this version"
        )
    try:
        rows = tuple(_row(row, path) for row in found["rows"])
        state = found["before"]
        machine = state["machine"]
        hardware = _in_words(state | machine, HARDWARE)
        versions = dict(state["versions"]) | _in_words(machine, DRIVER)
        disturbed = found["disturbed"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} lacks {error}, or has another thing there; expected a whole file of "
            "`bench run`; measure anew"
        ) from None
    twice = [label for label, times in Counter(row.label for row in rows).items() if times > 1]
    if twice:
        raise UserError(
            f"{path} has {', '.join(twice)} more than once; expected each row once, for one is "
            "compared with one; measure anew with engines of different names"
        )
    counts = sorted({len(row.rounds) for row in rows})
    if len(counts) > 1:
        raise UserError(
            f"{path} has rows of {' and '.join(map(str, counts))} rounds; expected as many for "
            "every row, for each round visits all; measure anew"
        )
    return SavedRun(
        path=str(path), hardware=hardware, versions=versions, disturbed=disturbed, rows=rows
    )


def _row(found: Mapping[str, Any], path: Path) -> SavedRow:
    row = SavedRow(
        name=str(found["name"]),
        batch=int(found["batch"]),
        settings=_in_words({key: found[key] for key in SETTINGS}, SETTINGS),
        rounds=tuple(found["rounds"]),
    )
    wrong = [value for value in row.rounds if not _is_time(value)]
    if wrong or not row.rounds:
        came = f"{wrong[0]!r}" if wrong else "nothing"
        raise UserError(
            f"{path} has {came} among the rounds of {row.label}; expected milliseconds above 0, "
            "one for each round; measure anew"
        )
    return row


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf


def _in_words(found: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Without what is not known."""
    values = {key: found.get(key) for key in keys}
    return {
        key: (" ".join(value) or "none") if isinstance(value, list) else str(value)
        for key, value in values.items()
        if value is not None
    }


def compare_runs(
    before: SavedRun,
    after: SavedRun,
    threshold: float = THRESHOLD,
    *,
    times_the_first: bool = False,
) -> Comparison:
    """Hold one run against another.

    Args:
        threshold: share of its speed that a row may lose, in [0, 1).
        times_the_first: compare each row's speed over that of the first row of its batch size in
            `before`, in place of the speed itself; those first rows are then not compared.

    Raises:
        UserError: the threshold is none; the runs have no row in common; or a first row is asked
            for that the later run has not, or has with other settings.
    """
    if not 0 <= threshold < 1:
        raise UserError(f"--threshold {threshold:g} came; expected a share in [0, 1), as 0.05")
    old, new = ({row.label: row for row in run.rows} for run in (before, after))
    common = [(row, new[label]) for label, row in old.items() if label in new]
    if not common:
        raise UserError(
            f"{before.path} and {after.path} have no row in common ({', '.join(old)}; "
            f"{', '.join(new)}); expected the same engines at the same batch sizes"
        )
    rows = _over_the_first(common, before, after) if times_the_first else _alone(common)
    return Comparison(
        before=before.path,
        after=after.path,
        before_disturbed=before.disturbed,
        after_disturbed=after.disturbed,
        hardware=_changed(before.hardware, after.hardware),
        versions=_changed(before.versions, after.versions),
        threshold=threshold,
        times_the_first=times_the_first,
        rows=tuple(_change(*pair, threshold) for pair in rows),
        only_before=tuple(label for label in old if label not in new),
        only_after=tuple(label for label in new if label not in old),
    )


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """A row's times, and what its speed is told in."""

    row: SavedRow
    unit: NDArray[np.float64]
    """Milliseconds in each round [rounds]: a second's for images a second, those an image of the
    first row for times the first."""

    def resampled(self, seed: int) -> tuple[NDArray[np.floating], float]:
        """The speed in each resample, row and unit drawn in pairs, and the tail of an interval."""
        drawn = Bootstrap(len(self.unit), seed=seed)
        return drawn.means(self.unit) / drawn.means(np.asarray(self.row.rounds)), drawn.tail

    @property
    def speed(self) -> float:
        """Mean over rounds."""
        return float(self.unit.mean() / np.mean(self.row.rounds))


_Pairs = list[tuple[SavedRow, SavedRow]]
"""Rows before and after."""


def _alone(common: _Pairs) -> list[tuple[_Timed, _Timed]]:
    def timed(row: SavedRow) -> _Timed:
        return _Timed(row=row, unit=np.full(len(row.rounds), 1000.0))

    return [(timed(old), timed(new)) for old, new in common]


def _over_the_first(
    common: _Pairs, before: SavedRun, after: SavedRun
) -> list[tuple[_Timed, _Timed]]:
    firsts: dict[int, SavedRow] = {}
    for row in before.rows:
        firsts.setdefault(row.batch, row)
    later = {old.label: new for old, new in common}
    rest = [(old, new) for old, new in common if old is not firsts[old.batch]]
    if not rest:
        raise UserError(
            f"{before.path} and {after.path} have no row in common but the first of a batch size, "
            "which --times-the-first divides by; expected others; leave the option out"
        )
    for batch in sorted({old.batch for old, _ in rest}):
        first = firsts[batch]
        other = later.get(first.label)
        if other is None or (faults := _changed(first.settings, other.settings)):
            came = "lacks" if other is None else f"changes ({', '.join(faults)})"
            raise UserError(
                f"{after.path} {came} {first.label}, the first row of {before.path} at that batch "
                "size, which --times-the-first divides by; expected it in both; time it again, or "
                "leave the option out"
            )

    def timed(row: SavedRow, first: SavedRow) -> _Timed:
        return _Timed(row=row, unit=np.asarray(first.rounds))

    return [
        (timed(old, firsts[old.batch]), timed(new, later[firsts[old.batch].label]))
        for old, new in rest
    ]


def _change(before: _Timed, after: _Timed, threshold: float) -> RowChange:
    differs = ", ".join(_changed(before.row.settings, after.row.settings)) or None
    interval = None if differs else _interval(before, after)
    return RowChange(
        name=before.row.name,
        batch=before.row.batch,
        before=before.speed,
        after=after.speed,
        speedup=None if differs else after.speed / before.speed,
        interval=interval,
        change="differs" if differs else _judged(interval, threshold),
        differs=differs,
    )


def _interval(before: _Timed, after: _Timed) -> Interval | None:
    if min(len(before.unit), len(after.unit)) < MIN_IMAGES:
        return None
    # two seeds: the runs' rounds are no pairs
    old, first_tail = before.resampled(SEED)
    new, second_tail = after.resampled(SEED + 1)
    tail = min(first_tail, second_tail)
    low, high = np.quantile(new / old, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _judged(interval: Interval | None, threshold: float) -> Change:
    """By where the whole interval lies: under what may be lost, within it, or beyond what would be
    as much gained. Not slower: above the one, on both sides of the other. Open: on both sides of
    what may be lost."""
    if interval is None:
        return "open"
    slowest, fastest = 1 - threshold, 1 / (1 - threshold)
    if interval.low < slowest:
        return "slower" if interval.high < slowest else "open"
    if interval.low > fastest:
        return "faster"
    return "same" if interval.high <= fastest else "not slower"


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Each entry that is another one after, in words."""
    return tuple(
        f"{key} {'none' if one is None else one} -> {'none' if other is None else other}"
        for key, (one, other) in differences(before, after).items()
    )
