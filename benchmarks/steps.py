"""Commands that follow one another, each a process of its own with a time limit.

A step that fails stops only those that need it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.files import write_whole
from engines.machine import this_machine

TRANS3DHEAD = (sys.executable, "-m", "trans3dhead.cli.main")
TOLD = 3000
"""Characters of a log's end that the summary keeps."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Steps that must have succeeded."""
    minutes: float = 5.0
    """It is ended after so long."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What became of a step."""

    name: str
    seconds: float
    code: int | None
    """Its exit code; None where it was not started, or was ended."""
    told: str
    """The end of what it said, or why it did not run."""


def run_steps(
    planned: Sequence[Step], out: Path, summary_file: str, only: Sequence[str] = ()
) -> list[Ran]:
    """Run the steps and sum up in a file after each, so that what was reached is never lost.

    Args:
        out: folder for a log of each step, and for the summary.
        only: these steps alone; what they need is then taken to be there.
    """
    out.mkdir(parents=True, exist_ok=True)
    ran: list[Ran] = []
    chosen = [step for step in planned if not only or step.name in only]
    names = {step.name for step in chosen}
    for step in chosen:
        succeeded = {done.name for done in ran if done.code == 0}
        missing = [need for need in step.needs if need in names and need not in succeeded]
        ran.append(_not_run(step, missing) if missing else _run(step, out))
        print(f"{ran[-1].code!s:>4} {ran[-1].seconds:7.1f} s  {step.name}", flush=True)
        summary = {"machine": asdict(this_machine()), "steps": [asdict(done) for done in ran]}
        write_whole(out / summary_file, json.dumps(summary, indent=1) + "\n")
    return ran


def _not_run(step: Step, missing: Sequence[str]) -> Ran:
    return Ran(name=step.name, seconds=0.0, code=None, told=f"needs {', '.join(missing)}")


def _run(step: Step, out: Path) -> Ran:
    began = time.monotonic()
    log = out / f"{step.name.replace(' ', '-')}.log"
    code: int | None = None
    with log.open("w") as file:
        try:
            code = subprocess.run(
                step.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=60 * step.minutes,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            file.write(f"\nended after {step.minutes:g} minutes\n")
    told = log.read_text(errors="replace")[-TOLD:]
    return Ran(name=step.name, seconds=time.monotonic() - began, code=code, told=told)


def tell_failures(ran: Sequence[Ran]) -> int:
    """Print the log's end of every step that failed; the exit code, 1 where one did."""
    failed = [done for done in ran if done.code != 0]
    for done in failed:
        print(f"\n{done.name}: exit code {done.code}\n{done.told}")
    return 1 if failed else 0
