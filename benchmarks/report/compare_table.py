"""What `bench compare` shows."""

from benchmarks.parity.statistics import Verdict
from benchmarks.report.tables import Column, Row, Table, interval
from benchmarks.throughput.compare import Change, Comparison

COLORED: dict[Change, Verdict] = {"slower": "fail", "faster": "pass", "open": "inconclusive"}


def compare_table(found: Comparison) -> Table:
    """Every row that both runs have."""
    return Table(
        title=f"{found.after} against {found.before}",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label="images/s before"),
            Column(label="after"),
            Column(label="ratio"),
            Column(label="95 %"),
            Column(label="", number=False),
        ),
        rows=tuple(
            Row(
                cells=(
                    row.name,
                    str(row.batch),
                    f"{row.before:.1f}",
                    f"{row.after:.1f}",
                    f"{row.speedup:.3f}",
                    interval(row.interval),
                    row.change,
                ),
                verdict=COLORED.get(row.change),
            )
            for row in found.rows
        ),
        note=(
            f"slower, faster: the whole interval is beyond {found.threshold:.0%} of the speed; "
            "same: it is within; open: neither. Each run's rounds are drawn anew on their own."
        ),
    )
