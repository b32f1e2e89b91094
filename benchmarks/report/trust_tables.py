"""What `bench sweep` and `bench honest` show: can the judge be trusted?"""

from collections.abc import Sequence

from benchmarks.parity.honest import Honest
from benchmarks.parity.sweep import Case, Sweep
from benchmarks.report.tables import Column, Row, Table

SHOWN = 10
"""Missed weights listed, those that move a metric most."""


def caught_table(found: Sweep) -> Table:
    """How many were caught, by factor."""
    rows = []
    for factor in dict.fromkeys(case.factor for case in found.cases):
        for what, cases in (
            ("all weights", found.of(factor)),
            ("kernels and matrices", found.of(factor, matrices=True)),
        ):
            rows.append(Row(cells=(f"{factor:g}", what, *_counts(cases))))
    return Table(
        title=f"Weights of {found.engine} scaled, one at a time",
        columns=(
            Column(label="scaled by"),
            Column(label="weights", number=False),
            Column(label="caught"),
            Column(label="share"),
            Column(label="fail"),
            Column(label="inconclusive"),
        ),
        rows=tuple(rows),
        note=f"Judged by {found.judged} images. Caught: a gate fails or stays open, so that "
        "`verify` exits with 1 and `build --verify` does not publish.",
    )


def _counts(cases: Sequence[Case]) -> tuple[str, ...]:
    caught = [case for case in cases if case.caught]
    failed = sum(case.verdict == "fail" for case in caught)
    share = f"{len(caught) / len(cases):.0%}" if cases else "-"
    return f"{len(caught)} of {len(cases)}", share, str(failed), str(len(caught) - failed)


def missed_table(found: Sweep) -> Table:
    """What was missed, by how far it moves a metric."""
    return Table(
        title="Missed, and how far it moves a metric",
        columns=(
            Column(label="weight", number=False),
            Column(label="scaled by"),
            Column(label="metric", number=False),
            Column(label="share of its margin"),
        ),
        rows=tuple(
            Row(
                cells=(
                    case.weight,
                    f"{case.factor:g}",
                    max(case.shares, key=case.shares.__getitem__, default="-"),
                    f"{case.largest_share:.1%}",
                ),
                verdict="fail" if case.escaped else None,
            )
            for case in found.missed[:SHOWN]
        ),
        note=f"The {min(SHOWN, len(found.missed))} of {len(found.missed)} that move one most, "
        f"measured on {found.other} images that did not judge.",
    )


def honest_lines(found: Honest) -> list[str]:
    """A line for each gate that was not passed in some run, then the verdict."""
    lines = [
        f"run {number}: {line}"
        for number, run in enumerate(found.runs, 1)
        for line in run.unsettled
    ]
    return [*lines, found.headline]
