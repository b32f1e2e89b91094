"""What `bench compare` shows."""

from benchmarks.parity.statistics import Verdict
from benchmarks.report.tables import NOTHING, Column, Row, Table, interval, number
from benchmarks.throughput.compare import Change, Comparison

COLORED: dict[Change, Verdict] = {
    "slower": "fail",
    "faster": "pass",
    "open": "inconclusive",
    "differs": "inconclusive",
}


def compare_table(found: Comparison) -> Table:
    """Every row that was compared."""
    unit = "times the first" if found.times_the_first else "images/s"
    return Table(
        title=f"{found.after} against {found.before}",
        columns=(
            Column(label="row", number=False),
            Column(label="batch"),
            Column(label=f"{unit} before"),
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
                    number(row.before),
                    number(row.after),
                    NOTHING if row.speedup is None else f"{row.speedup:.3f}",
                    interval(row.interval),
                    f"{row.change}: {row.differs}" if row.differs else row.change,
                ),
                verdict=COLORED.get(row.change),
            )
            for row in found.rows
        ),
        note=(
            f"slower, faster: the whole interval is beyond {found.threshold:.0%} of the speed; "
            "same: it is within; not slower: partly within, partly faster; open: partly slower, or "
            "too few rounds; differs: no rows to compare. Each run's rounds are drawn anew on "
            "their own."
        ),
    )
