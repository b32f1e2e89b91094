"""Pages as a reader sees them: in headless Chromium, light and dark, wide and on a phone."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from browser import PHONE, Browser, check_loaded, share_unlike, view_of

from benchmarks.parity.harness import verify
from benchmarks.report import pieces
from benchmarks.report.figures import chart, mesh_view
from benchmarks.report.page import page
from benchmarks.report.parity_sections import parity_page
from benchmarks.report.pieces import Section
from benchmarks.report.tables import Column, Row, Table


@pytest.fixture(scope="module")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of every piece; its 3D view is a ball of two colours."""
    ball = trimesh.creation.icosphere(3)
    colors = np.where(ball.vertices[:, :1] > 0, [[230, 40, 40]], [[40, 60, 230]]).astype(np.uint8)
    bars = {"type": "bar", "x": ["a", "b"], "y": [1, 2], "marker": {"color": 0}}
    wide = Table(
        title="wide",
        columns=tuple(Column(label=f"column {k} (a long unit of it)") for k in range(12)),
        rows=(Row(cells=tuple(map(str, range(12)))),),
    )
    body = [
        pieces.verdict_line("pass", "all is well"),
        mesh_view(ball.vertices, ball.faces, title="ball", colors=colors),
        chart([bars], title="bars", x="", y="images/s"),
        pieces.table(wide),
        pieces.image_tag(np.full((30, 900, 3), 90, np.uint8), "a wide image"),
        pieces.command("trans3dhead " + 30 * "a-long-option "),
    ]
    path = tmp_path_factory.mktemp("pages") / "small.html"
    path.write_text(page("A page", [Section(title=t, body=body) for t in ("One",)]))
    return path


@pytest.mark.parametrize(("width", "dark", "touch"), [(1200, False, False), (PHONE, True, True)])
def test_a_page_is_drawn_whole_and_its_head_turns(
    browser: Browser, small_page: Path, width: int, dark: bool, touch: bool
) -> None:
    browser.open(small_page, width=width, dark=dark)
    check_loaded(browser, small_page)
    paper = browser.screenshot()[5, 5]
    assert paper.max() < 60 if dark else paper.min() > 200
    before, middle = view_of(browser)
    browser.drag(middle, (90, 20), touch=touch)
    after, _ = view_of(browser)
    assert share_unlike(before, after) > 0.02
    assert browser.complaints == []


def test_what_a_page_complains_about_is_heard(browser: Browser, tmp_path: Path) -> None:
    """The checks above can fail."""
    path = tmp_path / "broken.html"
    path.write_text("<script>console.error('broken'); missing();</script>")
    browser.open(path)
    browser.value("1")  # complaints come before the answer
    assert any("broken" in line for line in browser.complaints)
    assert any("missing is not defined" in line for line in browser.complaints)


def test_the_report_of_verify_is_drawn(browser: Browser, tmp_path: Path, make_workshop) -> None:
    workshop = make_workshop(tmp_path / "bundle", "mesh", images=6)
    path = tmp_path / "parity.html"
    path.write_text(parity_page(verify(workshop.plant(workshop.answers))))
    browser.open(path, width=PHONE, dark=True)
    check_loaded(browser, path)
