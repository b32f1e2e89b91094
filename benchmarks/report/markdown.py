"""The reports as Markdown."""

from benchmarks.parity.results import ParityReport
from benchmarks.report.bench_sections import (
    bench_table,
    machine_line,
    roofline_table,
    sustained_table,
)
from benchmarks.report.parity_tables import (
    metric_table,
    movement_table,
    other_table,
    tensor_table,
)
from benchmarks.report.stage_sections import stage_table
from benchmarks.report.walk_pieces import walk_table
from benchmarks.throughput.results import BenchReport


def parity_markdown(report: ParityReport) -> str:
    """Verdict, gates that did not pass, tables, hashes."""
    subject = report.subject
    unsettled = [*report.with_verdict("fail"), *report.with_verdict("inconclusive")]
    head = [
        f"# Parity of {subject.runtime} {subject.recipe} with PyTorch",
        f"**{report.headline}**",
        "\n".join(f"- {gate.line()}" for gate in unsettled),
        f"{report.digits_line}.\n{report.blind_line}.",
    ]
    made = (metric_table, movement_table, other_table, tensor_table)
    tables = [table(report).markdown() for table in made]
    if report.walk is not None:
        tables += [walk_table(report.walk).markdown(), f"{report.walk.headline}."]
    machine = subject.judged_on
    tail = (
        f"Engine {subject.engine}, judged on {machine.gpu or machine.cpu}; sha256: engine "
        f"{subject.engine_sha256[:12]}, reference {subject.reference_sha256[:12]}, margins "
        f"{subject.margins_sha256[:12]}.\n{report.time_line[0].upper()}{report.time_line[1:]}."
    )
    return "\n\n".join(part for part in [*head, *tables, tail] if part) + "\n"


def bench_markdown(report: BenchReport) -> str:
    """The table and the machine."""
    versions = ", ".join(f"{name} {value}" for name, value in report.before.versions.items())
    parts = [
        "# Throughput",
        bench_table(report).markdown(),
        *([stage_table(report.staged, report.photo).markdown()] if report.staged else []),
        *([roofline_table(report).markdown()] if report.ceilings else []),
        *([sustained_table(report).markdown()] if report.sustained else []),
        f"Machine: {machine_line(report)}. Versions: {versions}.",
    ]
    if report.disturbed:
        parts.append(f"Disturbed: {report.disturbed}.")
    return "\n\n".join(parts) + "\n"
