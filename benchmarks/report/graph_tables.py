"""What `bench graph` shows: every graph's speed, and the two ratios on each runtime."""

from collections.abc import Mapping
from typing import Any

from benchmarks.report.tables import Column, Row, Table, number


def graph_table(report: Mapping[str, Any]) -> Table:
    """Speed of every graph on every runtime.

    Args:
        report: the JSON of `trans3dhead bench graph`.
    """
    nodes = {name: sum(kinds.values()) for name, kinds in report["nodes"].items()}
    return Table(
        title=f"Static graphs, batch {report['batch']}",
        columns=(
            Column(label="runtime", number=False),
            Column(label="precision", number=False),
            Column(label="graph", number=False),
            Column(label="nodes"),
            Column(label="images/s"),
            Column(label="median ms"),
            Column(label="p99 ms"),
        ),
        rows=tuple(
            Row(
                cells=(
                    row["runtime"],
                    row["precision"],
                    row["graph"],
                    str(nodes[row["graph"]]),
                    number(row["images_per_second"]),
                    number(row["latency"]["median"], 3),
                    number(row["latency"]["p99"], 3),
                )
            )
            for row in report["rows"]
        ),
        note="Nodes of the file, before the runtime fuses them.",
    )


def ratio_table(report: Mapping[str, Any]) -> Table:
    """The whole graph's speed over the others', with 95 % intervals."""
    return Table(
        title="The whole graph's images a second over another's",
        columns=(
            Column(label="runtime", number=False),
            Column(label="precision", number=False),
            Column(label="over", number=False),
            Column(label="ratio"),
            Column(label="95 %"),
        ),
        rows=tuple(
            Row(
                cells=(
                    ratio["runtime"],
                    ratio["precision"],
                    ratio["over"],
                    f"{ratio['value']:.3f}",
                    _interval(ratio["interval"]),
                )
            )
            for ratio in report["ratios"]
        ),
        note=f"The backbone has {report['backbone_share']:.3f} of the arithmetic.",
    )


def _interval(within: Mapping[str, float] | None) -> str:
    return f"[{within['low']:.3f}, {within['high']:.3f}]" if within else "-"
