"""The measured tables of README and docs, made from the files in `benchmarks/results`.

`python -m benchmarks.report.committed` writes each table anew between its two marks; with `--check`
it changes nothing, names the pages that differ, and its exit code is 1. A mark names a file, or a
pattern whose newest file counts, and at times which of its tables.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.committed_bench import goals, matrix, rows, stages
from benchmarks.report.committed_graph import graph, graph_goals
from benchmarks.report.committed_modules import modules
from benchmarks.report.committed_parity import parity
from benchmarks.report.sources import source_line, told_line
from benchmarks.report.study_tables import difference_table, study_table
from benchmarks.report.video_table import video_table
from engines.errors import UserError
from engines.files import write_whole

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(
    r"(<!-- results: (\S+)(?: (\w+))? -->\n).*?(<!-- end of results -->)", re.DOTALL
)
"""A file's name or pattern, which of its tables, and what stands between the marks."""


def pages() -> list[Path]:
    """Where tables may stand."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str, results: Path = RESULTS) -> str:
    """A page with every table made anew.

    Raises:
        UserError: a file that a page names is not there, or is none of a command's below.
    """

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}{_newest_table(results, found[2], found[3] or 'rows')}{found[4]}"

    return MARKED.sub(table, text)


def _newest_table(results: Path, name: str, view: str) -> str:
    """Of the file of that name; of several that a pattern fits the last: they begin with dates."""
    path = max(results.glob(name), default=results / name)
    if "*" in path.name:  # a pattern that none fits
        return "Not measured yet.\n"
    return _table(path, view)


def _table(path: Path, view: str) -> str:
    wish = "expected the JSON of a command that measures there; mend the page's mark"
    try:
        report = json.loads(path.read_text())
        return _maker(report, view)(path.name, report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} makes no table {view} ({error!r}); {wish}") from None


def _maker(report: Mapping[str, Any], view: str) -> Callable[[str, Mapping[str, Any]], str]:
    """What makes a table of a report; a KeyError where it has none of that name."""
    if "plan" in report:
        return {"rows": _study}[view]
    if "clip" in report:
        return {"rows": _video}[view]
    if "backbone_share" in report:
        return {"rows": graph, "goals": graph_goals}[view]
    if "verified" in report:
        return {"rows": parity}[view]
    if "profiled" in report:
        return {"rows": modules}[view]
    return {"rows": rows, "matrix": matrix, "goals": goals, "stages": stages}[view]


def _study(name: str, report: Mapping[str, Any]) -> str:
    tables = [make(report).markdown() for make in (study_table, difference_table)]
    versions = report["versions"]
    told = source_line(name, report["machine"], versions, "")
    return "\n".join([*tables, told, ""])


def _video(name: str, report: Mapping[str, Any]) -> str:
    return "\n".join([video_table(report).markdown(), told_line(name, report), ""])


def main(words: Sequence[str]) -> int:
    """Fill all pages; with --check say which of them are not filled."""
    check = list(words) == ["--check"]
    if words and not check:
        print(f"{' '.join(words)} came; expected nothing, or --check", file=sys.stderr)
        return 2
    stale = []
    for page in pages():
        text = page.read_text()
        if (anew := filled(text)) != text:
            stale.append(page)
            if not check:
                write_whole(page, anew)
    for page in stale:
        print(f"{page.relative_to(ROOT)} {'differs from the results' if check else 'written'}")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
