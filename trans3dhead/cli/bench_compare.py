"""`trans3dhead bench compare`: did a row become slower from one run to another?"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Hold one run of `bench run --json` against another, row by row.

    A row has become slower where the whole 95 % interval of its speedup lies under 1 - threshold,
    and has held its speed where the whole interval lies above; where it lies on both sides the row
    is open, which a longer run (`bench run --seconds`) settles.

    Exit code 0 where every row of the earlier run has held its speed. Exit code 1 where one is
    slower or open, is missing in the later run, or differs there: in precision, threads or requests
    in flight, so that the two cannot be compared. Rows that only the later run has, other hardware,
    other versions and what disturbed a run are told and change no exit code.
    """

    before: tyro.conf.Positional[Path]
    """The earlier run's JSON."""
    after: tyro.conf.Positional[Path]
    """The later run's JSON."""
    threshold: float = 0.05
    """Share of its speed that a row may lose."""
    times_the_first: bool = False
    """Compare times the first in place of images a second: each row's speed over that of the
    earlier run's first row of the same batch size, which took turns with it in both runs. What
    slowed the whole machine cancels; the first rows themselves are not judged."""


def run(options: Options) -> Outcome:
    from benchmarks.report.compare_table import compare_table
    from benchmarks.throughput.compare import compare_runs, read_run
    from trans3dhead.cli.terminal import say, wide_console

    console = wide_console()
    found = compare_runs(
        read_run(options.before),
        read_run(options.after),
        options.threshold,
        times_the_first=options.times_the_first,
    )
    console.print(compare_table(found).rich())
    if found.hardware:
        two = f"two machines ({', '.join(found.hardware)})"
        say(console, f"{two}: the ratios are theirs as much as the code's", "yellow")
    if found.versions:
        say(console, f"other versions: {', '.join(found.versions)}")
    for label, why in (("before", found.before_disturbed), ("after", found.after_disturbed)):
        if why:
            say(console, f"disturbed {label}: {why}", "yellow")
    if found.only_after:
        say(console, f"only after: {'; '.join(found.only_after)}")
    if found.faults:
        say(console, f"not held: {'; '.join(found.faults)}", "red")
    return Outcome(data=found.to_dict(), exit_code=1 if found.faults else 0, report=found)
