"""`trans3dhead bench honest`: does the judge fail an engine that does what its recipe says?"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Judge one engine many times by every gate, each time on other images of its reference.

    Exit code 1 where a run fails. An inconclusive run is no false alarm: it asks for more images.
    """

    engine: tyro.conf.Positional[Path]
    """Engine folder, BUNDLE/engines/NAME; its manifest stays as it is."""
    head: Path | None = None
    """Folder of the head model, where the bundle neither holds it nor uses the built-in one."""
    margins: Path | None = None
    """TOML file whose margins replace the shipped ones (benchmarks/parity/margins.toml)."""
    runs: int = 20
    """Runs; each judges by an equal part of the reference (`export --count`)."""
    threads: int | None = None
    """CPU threads; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    from benchmarks.parity.honest import judge_often
    from benchmarks.report.tables import STYLES
    from benchmarks.report.trust_tables import honest_lines
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    console = wide_console()
    with stage_bars(console) as progress:
        found = judge_often(
            options.engine,
            options.head,
            runs=options.runs,
            margins=options.margins,
            threads=options.threads,
            progress=progress,
        )
    *lines, last = honest_lines(found)
    for line in lines:
        say(console, line)
    say(console, last, STYLES["pass" if found.passed else "fail"])
    return Outcome(data=found.to_dict(), exit_code=0 if found.passed else 1, report=found)
