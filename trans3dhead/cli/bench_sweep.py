"""`trans3dhead bench sweep`: does the judge see a damaged weight?"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Scale every weight of an engine's graph, one at a time, and judge each damaged engine.

    What the judge misses is measured on the reference images that did not judge. Exit code 1 where
    one that was missed moves a metric past its margin: the judge is at fault.
    """

    engine: tyro.conf.Positional[Path]
    """Engine folder, BUNDLE/engines/NAME, of ONNX Runtime on the CPU; it stays as it is."""
    head: Path | None = None
    """Folder of the head model, where the bundle neither holds it nor uses the built-in one."""
    margins: Path | None = None
    """TOML file whose margins replace the shipped ones (benchmarks/parity/margins.toml)."""
    judged: int = 64
    """Reference images to judge by; the others measure what was missed (`export --count`)."""
    factors: tuple[float, ...] = (1.01, 1.05)
    """What a weight is scaled by."""
    only: tuple[str, ...] = ()
    """Weights to scale, such as 'landmark_branch.*'; all by default."""
    threads: int | None = None
    """CPU threads; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    from benchmarks.parity.sweep import sweep
    from benchmarks.report.tables import STYLES
    from benchmarks.report.trust_tables import caught_table, missed_table
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    console = wide_console()
    with stage_bars(console) as progress:
        found = sweep(
            options.engine,
            options.head,
            margins=options.margins,
            judged=options.judged,
            factors=options.factors,
            only=options.only,
            threads=options.threads,
            progress=progress,
        )
    for table in (caught_table, missed_table):
        console.print(table(found).rich())
    say(console, found.headline, STYLES["fail" if found.escaped else "pass"])
    return Outcome(data=found.to_dict(), exit_code=1 if found.escaped else 0, report=found)
