"""The pages show what the result files say; a page or a file that was edited by hand is named."""

import json
from pathlib import Path

import pytest

from benchmarks.report import committed
from benchmarks.report.committed import RESULTS, filled, main
from engines.errors import UserError

REPORTS = sorted(path for path in RESULTS.glob("*.json") if "durations" in path.read_text())
PAGE = "before\n<!-- results: {} -->\nold\n<!-- end of results -->\nafter\n"


def test_the_pages_are_those_of_the_results() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_every_report_makes_a_table_with_all_its_rows(path: Path) -> None:
    rows = json.loads(path.read_text())["rows"]
    text = filled(PAGE.format(path.name))
    assert text.startswith("before\n") and text.endswith("<!-- end of results -->\nafter\n")
    assert text.count("\n| ") == len(rows) + 2  # head and ruler
    assert filled(text) == text
    assert path.name[:10] in text


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*study.json")), ids=lambda path: path.stem)
def test_a_study_makes_two_tables(path: Path) -> None:
    plan = json.loads(path.read_text())["plan"]
    text = filled(PAGE.format(path.name))
    assert text.count("### ") == 2
    for variant in plan["variants"]:
        assert f"| {variant} |" in text


def test_a_number_changed_by_hand_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text(filled(PAGE.format(REPORTS[0].name)))
    monkeypatch.setattr(committed, "ROOT", tmp_path)
    monkeypatch.setattr(committed, "pages", lambda: [page])
    assert main(["--check"]) == 0
    whole = page.read_text()
    page.write_text(whole.replace(" | 1 | ", " | 2 | ", 1))
    assert main(["--check"]) == 1
    assert "README.md differs" in capsys.readouterr().out
    assert main([]) == 0
    assert page.read_text() == whole


@pytest.mark.parametrize("content", [None, "{", "{}", '{"rows": [{}]}'])
def test_what_makes_no_table_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "some.json").write_text(content)
    with pytest.raises(UserError, match=r"some.json makes no table"):
        filled(PAGE.format("some.json"), tmp_path)


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chek"]) == 2
    assert "--chek came" in capsys.readouterr().err
