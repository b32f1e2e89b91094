"""What `study` shows: every variant's metrics, and its paired difference from the first variant."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.report.tables import NOTHING, Column, Row, Table
from trans3dhead.metrics import METRICS

CONFIDENCE = 0.95


def study_table(report: Mapping[str, Any]) -> Table:
    """Mean and sample standard deviation over the seeds, variant by variant.

    Args:
        report: the JSON of `trans3dhead study`.
    """
    runs = report["runs"]
    rows = [
        Row(cells=(variant, *_cells(partial(_values, own), _mean)))
        for variant, own in _by_variant(runs).items()
    ]
    for name, means in runs[0]["baselines"].items():
        cells = (METRICS[m].shown(means[m]) if m in means else NOTHING for m in METRICS)
        rows.append(Row(cells=(f"always {name}", *cells)))
    plan = report["plan"]
    return Table(
        title=f"{len(plan['seeds'])} seeds, {plan['samples']} samples each",
        columns=_columns("variant"),
        rows=tuple(rows),
        note=f"Mean ± sample standard deviation over the seeds, on {plan['unseen']} heads that no "
        f"run saw; {plan['heads']} heads to train on.",
    )


def difference_table(report: Mapping[str, Any]) -> Table:
    """The mean difference from the first variant, seed by seed, with its 95 % interval."""
    groups = _by_variant(report["runs"])
    first, *others = groups
    rows = [
        Row(cells=(name, *_cells(partial(_less, groups[name], groups[first]), _interval)))
        for name in others
    ]
    return Table(
        title=f"Less {first}, paired by seed",
        columns=_columns("variant"),
        rows=tuple(rows),
        note=f"Mean difference [{CONFIDENCE:.0%} interval by Student's t]. An interval that holds "
        "0 supports nothing either way.",
    )


def _columns(first: str) -> tuple[Column, ...]:
    better = (f"{m.label} {'↓' if m.lower_is_better else '↑'}" for m in METRICS.values())
    return (Column(label=first, number=False), *(Column(label=label) for label in better))


def _by_variant(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Runs in the order of their seeds."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: int(run["seed"])):
        groups.setdefault(run["variant"], []).append(run)
    order = dict.fromkeys(run["variant"] for run in runs)
    return {variant: groups[variant] for variant in order}


def _values(runs: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    return [run["metrics"][metric] for run in runs if metric in run["metrics"]]


def _less(
    runs: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]], metric: str
) -> list[float]:
    values, others = _values(runs, metric), _values(before, metric)
    return [value - other for value, other in zip(values, others, strict=False)]


def _cells(
    values: Callable[[str], list[float]], shown: Callable[[list[float], int], str]
) -> list[str]:
    cells = []
    for name, metric in METRICS.items():
        found = values(name)
        cells.append(shown(found, metric.digits) if found else NOTHING)
    return cells


def _mean(values: list[float], digits: int) -> str:
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def _interval(values: list[float], digits: int) -> str:
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:+.{digits}f}"
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error)
    return f"{mean:+.{digits}f} [{mean - half:+.{digits}f}, {mean + half:+.{digits}f}]"
