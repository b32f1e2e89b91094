"""A step that fails is neither lost nor hidden, and stops only what needs it."""

import json
import sys
from pathlib import Path

from benchmarks.steps import Step, run_steps, tell_failures

SUMMARY = "summary.json"


def python(name: str, code: str, **more) -> Step:
    return Step(name=name, command=(sys.executable, "-c", code), **more)


def test_what_fails_is_told_and_stops_only_what_needs_it(tmp_path: Path) -> None:
    planned = [
        python("broken", "print('why'); raise SystemExit(3)"),
        python("slow", "import time; time.sleep(60)", minutes=0.01),
        python("after broken", "print('never')", needs=("broken",)),
        python("well", "print('done')"),
        python("after well", "print('done too')", needs=("well",)),
    ]
    ran = run_steps(planned, tmp_path, SUMMARY)
    assert [done.code for done in ran] == [3, None, None, 0, 0]
    assert tell_failures(ran) == 1
    told = {
        step["name"]: step["told"] for step in json.loads((tmp_path / SUMMARY).read_text())["steps"]
    }
    assert "why" in told["broken"]
    assert "ended after 0.01 minutes" in told["slow"]
    assert told["after broken"] == "needs broken"
    assert (tmp_path / "after-well.log").read_text() == "done too\n"


def test_some_steps_alone(tmp_path: Path) -> None:
    """What they need is then taken to be there."""
    planned = [python("first", "raise SystemExit(1)"), python("second", "", needs=("first",))]
    assert [done.name for done in run_steps(planned, tmp_path, SUMMARY, ["second"])] == ["second"]
