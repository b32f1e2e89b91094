"""The rows of a run as CSV, one line each, for a spreadsheet."""

import csv
import io

from benchmarks.throughput.results import BenchReport

FIELDS = (
    "row", "batch", "precision", "parity", "threads", "in_flight", "images_per_second",
    "times_baseline", "low", "high", "baseline", "median_ms", "p90_ms", "p95_ms", "p99_ms",
    "mean_ms", "std_ms", "largest_ms", "calls", "limit_images_per_second", "attained", "binds",
)  # fmt: skip


def bench_csv(report: BenchReport) -> str:
    """A line for each row below the names; an empty cell is what was not measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in report.rows:
        latency, limit, interval = row.latency, row.limit, row.interval
        writer.writerow(
            [
                row.name,
                row.batch,
                row.precision,
                row.parity,
                row.threads,
                row.in_flight,
                row.images_per_second,
                row.speedup,
                None if interval is None else interval.low,
                None if interval is None else interval.high,
                row.baseline,
                latency.median,
                latency.p90,
                latency.p95,
                latency.p99,
                latency.mean,
                latency.std,
                latency.largest,
                latency.calls,
                *((limit.images_per_second, limit.attained, limit.binds) if limit else (None,) * 3),
            ]
        )
    return text.getvalue()
