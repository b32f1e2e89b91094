"""`trans3dhead bench compare`: did a row become slower from one run to another?"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Hold one run of `bench run --json` against another, row by row.

    A row has become slower where the whole 95 % interval of its speedup lies under 1 - threshold.
    Exit code 1 where one has; each is listed with its ratio and interval.
    """

    before: tyro.conf.Positional[Path]
    """The earlier run's JSON."""
    after: tyro.conf.Positional[Path]
    """The later run's JSON."""
    threshold: float = 0.05
    """Share of its speed that a row may lose."""


def run(options: Options) -> Outcome:
    from benchmarks.report.compare_table import compare_table
    from benchmarks.throughput.compare import compare_runs, read_run
    from trans3dhead.cli.terminal import say, wide_console

    console = wide_console()
    found = compare_runs(read_run(options.before), read_run(options.after), options.threshold)
    console.print(compare_table(found).rich())
    if not found.same_machine:
        say(console, "two machines: the ratios are theirs as much as the code's", "yellow")
    for label, rows in (("before", found.only_before), ("after", found.only_after)):
        if rows:
            say(console, f"only {label}: {', '.join(rows)}")
    return Outcome(data=found.to_dict(), exit_code=1 if found.regressed else 0, report=found)
