"""The documentation builds as a site, and a broken link stops it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    words = ["build", "--strict", "--config-file", "mkdocs.yml", "--site-dir", str(site)]
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", *words],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_page_is_reached_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert all((tmp_path / "site" / page / "index.html").is_file() for page in pages)


@pytest.mark.parametrize(
    ("page", "target"),
    [("index.md", "nowhere.md"), ("parity.md", "engines.md#nothing-here")],
)
def test_a_broken_link_stops_the_build(page: str, target: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / page).open("a") as file:
        file.write(f"\n[lost]({target})\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert target in done.stderr
