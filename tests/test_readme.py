"""Every command and every line of Python in the README and in pages of docs runs, in its order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import Demo

from trans3dhead.cli.main import main
from trans3dhead.outputs import OUTPUT_KINDS

ROOT = Path(__file__).parent.parent
README, OUTPUTS = "README.md", "docs/outputs.md"
PAGES = (README, OUTPUTS)


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    """Every line of every shell block, as words, without its comment."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def beside_the_demo(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished demo in it, as after `make demo`."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo").symlink_to(demo.folder)
    return folder


def test_the_commands_of_the_command_line_run(
    beside_the_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beside_the_demo)
    ours = [words[1:] for words in commands(README) if words[0] == "trans3dhead"]
    assert len(ours) >= 8
    for words in ours:
        assert main(words) == 0, words
    assert (beside_the_demo / "parity.html").is_file()
    assert len(list((beside_the_demo / "prediction").iterdir())) == 3


@pytest.mark.parametrize("page", PAGES)
def test_the_python_runs(beside_the_demo: Path, page: str) -> None:
    (code,) = blocks(page, "python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=beside_the_demo,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(68, 2)" in done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_nothing_else_is_told_to_be_typed(page: str) -> None:
    """Only `make`, whose targets exist, and our own commands stand in shell blocks."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(page):
        assert words[0] == "trans3dhead" or (words[0] == "make" and words[1] in targets), words


@pytest.mark.parametrize("page", PAGES)
def test_pictures_and_linked_files_are_there(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text_of(page)):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_gallery_shows_every_kind_in_a_small_picture() -> None:
    for kind in OUTPUT_KINDS:
        picture = ROOT / "docs" / "images" / "outputs" / f"{kind}.jpg"
        assert f"![{kind}](images/outputs/{kind}.jpg)" in text_of(OUTPUTS), kind
        assert 2_000 < picture.stat().st_size < 150_000, kind
        assert OUTPUT_KINDS[kind].summary in text_of(OUTPUTS), "make gallery writes it anew"


def test_make_demo_is_the_command_that_the_tests_run() -> None:
    shown = subprocess.run(
        ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "trans3dhead demo --out demo" in shown.stdout
