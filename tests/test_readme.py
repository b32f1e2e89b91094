"""Every command and every line of Python in the README and in pages of docs runs, in its order."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support import Demo

from benchmarks.report.shown import CHECKPOINT, SHOWN, commands, labels
from export.recipes import read_recipe
from trans3dhead.cli.main import main
from trans3dhead.outputs import OUTPUT_KINDS

ROOT = Path(__file__).parent.parent
README, OUTPUTS, PREDICT = "README.md", "docs/outputs.md", "docs/predict.md"
EXPORT = "docs/export.md"
PHOTO = "synth-val-1-000004"
WITH_PYTHON = (README, OUTPUTS, PREDICT)
PAGES = (*WITH_PYTHON, EXPORT)


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished demo in it, as after `make demo`, and a checkpoint."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo").symlink_to(demo.folder)
    (folder / CHECKPOINT).symlink_to(demo.checkpoint)
    (recipe,) = blocks(EXPORT, "toml")
    (folder / "careful.toml").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, list[str]]:
    """What every command of every page prints, in their order; none fails."""
    found: dict[str, list[str]] = {}
    with contextlib.chdir(folder):
        for page in PAGES:
            found[page] = []
            for words in blocks(page, "sh"):
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    for line in commands(words):
                        assert line[0] == "make" or main(line[1:]) == 0, line
                found[page].append(said.getvalue())
    return found


def test_the_commands_run_and_leave_what_is_told(
    printed: dict[str, list[str]], folder: Path
) -> None:
    assert len(printed[README]) >= 7
    assert (folder / "parity.html").is_file()
    assert {path.suffix for path in (folder / "prediction").glob("*04*")} == {
        ".json",
        ".obj",
        ".png",
    }
    assert (folder / "steady.mp4").stat().st_size > 10_000


def test_the_export_page_leaves_what_is_told(printed: dict[str, list[str]], folder: Path) -> None:
    told = set(re.findall(r"^\| `([\w.]+)` \|", text_of(EXPORT).split("## ")[0], re.MULTILINE))
    found = {path.name for path in (folder / "exported").iterdir()}
    assert found == told - {"RECIPE.onnx"} | {"fp32.onnx", "fp16-backbone.onnx", "bf16.onnx"}
    assert (folder / "exported-careful" / "careful.onnx").is_file()
    before, after = (load_file(folder / name) for name in (CHECKPOINT, "imported.safetensors"))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_every_recipe_of_the_pages_is_one(tmp_path: Path) -> None:
    found = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        for recipe in blocks(f"docs/{page.name}", "toml"):
            (tmp_path / "recipe.toml").write_text(recipe)
            found.append(read_recipe(tmp_path / "recipe.toml").name)
    assert found == ["careful"]


def test_the_readme_shows_what_the_commands_print(printed: dict[str, list[str]]) -> None:
    """Numbers and verdicts are another checkpoint's; the lines of the tables are the same."""
    shown = {found[2]: found[3] for found in SHOWN.finditer(text_of(README))}
    assert [words.split()[1] for words in shown] == ["export", "build", "verify", "bench"]
    by_block = dict(zip(blocks(README, "sh"), printed[README], strict=True))
    for words, text in shown.items():
        assert labels(text) == labels(by_block[words]), "python -m benchmarks.report.shown"
        assert len(labels(text)) >= 3, words


def test_the_keys_of_the_json_lines_are_told(printed: dict[str, list[str]], folder: Path) -> None:
    told = set(re.findall(r"`(\w+)`", text_of(PREDICT)))
    for name in ("found.jsonl", "steady.jsonl"):
        entry = json.loads((folder / name).read_text().splitlines()[0])
        assert set(entry) | set(entry["heads"][0]) <= told


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_runs(printed: dict[str, list[str]], folder: Path, page: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks(page, "python"))],
        cwd=folder,
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
    for words in commands("".join(blocks(page, "sh"))):
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
        assert f"![{kind}](docs/images/outputs/{kind}.jpg)" in text_of(README), kind


def test_make_demo_is_the_command_that_the_tests_run() -> None:
    shown = subprocess.run(
        ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "trans3dhead demo --out demo" in shown.stdout
