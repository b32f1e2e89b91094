"""The measured tables of README and docs, made from the files in `benchmarks/results`.

`python -m benchmarks.report.committed` writes each table anew between its two marks; with `--check`
it changes nothing, names the pages that differ, and its exit code is 1.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.study_tables import difference_table, study_table
from benchmarks.report.tables import NOTHING
from benchmarks.report.video_table import video_table
from engines.errors import UserError
from engines.files import write_whole

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
"""A file's name, and what stands between the marks."""
SHOWN = ("python", "torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt_rtx_cu13")
"""Versions that a table's last line gives."""


def pages() -> list[Path]:
    """Where tables may stand."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str, results: Path = RESULTS) -> str:
    """A page with every table made anew.

    Raises:
        UserError: a file that a page names is not there, or is none of a command's below.
    """

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}{_table(results / found[2])}{found[3]}"

    return MARKED.sub(table, text)


def _table(path: Path) -> str:
    wish = "expected the JSON of `bench run`, `bench video` or `study` there; mend the page's mark"
    try:
        report = json.loads(path.read_text())
        make = _study if "plan" in report else _video if "clip" in report else _bench
        return make(path.name, report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} makes no table ({error!r}); {wish}") from None


def _study(name: str, report: Mapping[str, Any]) -> str:
    tables = [make(report).markdown() for make in (study_table, difference_table)]
    versions = report["versions"]
    told = _source(name, report["machine"], versions, "")
    return "\n".join([*tables, told, ""])


def _video(name: str, report: Mapping[str, Any]) -> str:
    return "\n".join([video_table(report).markdown(), _told(name, report), ""])


def _bench(name: str, report: Mapping[str, Any]) -> str:
    lines = [_row(row) for row in report["rows"]]
    told = _told(name, report)
    head = "| row | batch | precision | images/s | times the first | median ms | p99 ms |"
    ruler = "|---|---:|---|---:|---|---:|---:|"
    return "\n".join([head, ruler, *lines, "", told, ""])


def _row(row: Mapping[str, Any]) -> str:
    ratio = NOTHING
    if row["speedup"] is not None:
        ratio = f"{row['speedup']:.2f}"
        if row["interval"] is not None:
            ratio += f" [{row['interval']['low']:.2f}, {row['interval']['high']:.2f}]"
    latency = row["latency"]
    cells = (
        row["name"],
        str(row["batch"]),
        row["precision"],
        f"{row['images_per_second']:.4g}",
        ratio,
        f"{latency['median']:.3g}",
        f"{latency['p99']:.3g}",
    )
    return f"| {' | '.join(cells)} |"


def _told(name: str, report: Mapping[str, Any]) -> str:
    """Machine, date, versions and file in one line."""
    before = report["before"]
    able = " ".join(before["instructions"]) or "none named"
    cores = f", {before['cores']} CPU cores ({able})"
    source = _source(name, before["machine"], before["versions"], cores)
    return f"Disturbed: {report['disturbed']}. {source}" if report["disturbed"] else source


def _source(name: str, machine: Mapping[str, Any], versions: Mapping[str, str], cores: str) -> str:
    known = ", ".join(f"{key} {versions[key]}" for key in SHOWN if key in versions)
    device = machine["gpu"] or machine["cpu"]
    return f"{device}{cores}, {name[:10]}; {known}. `benchmarks/results/{name}`"


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
