"""What `bench video` shows: a row a run of `predict` on a rendered clip."""

from collections.abc import Mapping
from typing import Any

from benchmarks.report.tables import NOTHING, Column, Row, Table

POINTS = ("landmarks", "mesh")
"""Kinds of 68 points: the landmark branch's, and those of the projected mesh."""


def video_table(report: Mapping[str, Any]) -> Table:
    """Speed, what each stage costs, steadiness and error of every run.

    Args:
        report: the JSON of `trans3dhead bench video`.
    """
    stages = dict.fromkeys(
        stage for run in report["runs"] for stage in run["cost"]["cpu_seconds_an_item_by_stage"]
    )
    costs = [
        f"{run['clip']}, {run['filter']}: "
        + ", ".join(
            f"{stage} {1e3 * run['cost']['cpu_seconds_an_item_by_stage'][stage]:.1f}"
            for stage in stages
            if stage in run["cost"]["cpu_seconds_an_item_by_stage"]
        )
        for run in report["runs"]
    ]
    columns = [
        Column(label="clip", number=False),
        Column(label="filter", number=False),
        Column(label="frames/s"),
        Column(label="cores allow"),
        Column(label="share"),
        Column(label="followed"),
    ]
    for kind in POINTS:
        columns += [Column(label=f"{kind}: jitter, px"), Column(label="off the truth, px")]
    clip = report["clip"]
    return Table(
        title=f"{report['engine']}: {clip['frames']} frames of {clip['width']} x {clip['height']}, "
        "decoded, followed, drawn, encoded",
        columns=tuple(columns),
        rows=tuple(Row(cells=_cells(run)) for run in report["runs"]),
        note="Followed: frames until the head was lost, of all; the points are those of these "
        f"frames. CPU ms a frame: {'; '.join(costs)}.",
    )


def _cells(run: Mapping[str, Any]) -> tuple[str, ...]:
    cost = run["cost"]
    points = []
    for kind in POINTS:
        found = run.get(kind)
        points += [f"{found[what]:.2f}" if found else NOTHING for what in ("jitter", "error")]
    return (
        run["clip"],
        run["filter"],
        f"{cost['items_per_second']:.1f}",
        f"{cost['ceiling_items_per_second']:.1f}",
        f"{cost['share_of_ceiling']:.0%}",
        f"{run['followed'] / run['frames']:.0%}",
        *points,
    )
