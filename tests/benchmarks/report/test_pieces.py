import base64
import json
import re

import cv2
import numpy as np
import pytest

from benchmarks.report import pieces
from benchmarks.report.figures import MAX_POINTS, chart, histogram, mesh_view, thinned
from benchmarks.report.page import page
from benchmarks.report.pieces import Section
from benchmarks.report.tables import Column, Row, Table
from engines.errors import UserError

TABLE = Table(
    title="a <table>",
    columns=(
        Column(label="name", number=False),
        Column(label="value"),
        Column(label="verdict", number=False),
    ),
    rows=(Row(cells=("a|b", "1", "fail"), verdict="fail"), Row(cells=("<c>", "2", "x"), main=True)),
    note="below",
)  # fmt: skip


def figures(html: str) -> list[dict]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return [json.loads(text) for text in found]


def test_text_is_escaped_everywhere() -> None:
    evil = "<script>alert(1)</script>"
    parts = [
        pieces.verdict_line("fail", evil),
        pieces.listing([evil]),
        pieces.facts({evil: evil}),
        pieces.details(evil, pieces.command(evil)),
        pieces.image_tag(np.zeros((2, 2, 3), np.uint8), evil),
        pieces.table(TABLE),
        evil,
    ]
    html = page(evil, [Section(title=evil, lead=evil, body=parts)], subtitle=evil)
    assert evil not in html
    assert "&lt;c&gt;" in html


def test_a_figure_cannot_end_its_script_element() -> None:
    html = chart([{"type": "bar", "name": "</script><b>"}], title="t", x="x", y="y")
    assert html.count("</script>") == 1
    assert figures(html)[0]["data"][0]["name"] == "</script><b>"


def test_a_page_needs_no_network_and_holds_plotly_only_where_it_draws() -> None:
    plain = page("Title", [Section(title="One", body=["text"])])
    assert len(plain) < 20_000
    drawn = page(
        "Title", [Section(title="One", body=[histogram(np.arange(9.0), title="h", unit="px")])]
    )
    assert "plotly.js" in drawn
    for html in (plain, drawn):
        assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=.https?:", html)
    assert "prefers-color-scheme: dark" in plain
    assert 'name="viewport"' in plain


def test_plain_text_becomes_a_paragraph() -> None:
    assert "<p>a &amp; b</p>" in page("t", [Section(title="One", body=["a & b"])])


def test_an_image_comes_back_as_it_went_in() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = 200  # red, which a swap of channels would turn blue
    html = pieces.image_tag(image, "caption")
    data = re.search(r"base64,([^\"]+)", html)
    assert data is not None
    read = cv2.imdecode(np.frombuffer(base64.b64decode(data[1]), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(read.astype(int) - image).max() < 4
    assert 'width="60" height="40"' in html


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_image_is_refused(image) -> None:
    with pytest.raises(UserError, match="expected uint8"):
        pieces.image_tag(image)


def test_a_mesh_is_packed_whole() -> None:
    vertices = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    faces = np.array([[0, 1, 2], [49, 3, 4]])
    (figure,) = figures(mesh_view(vertices, faces, title="m", values=np.arange(50.0), unit="mm"))
    mesh = figure["data"][0]
    read = np.frombuffer(base64.b64decode(mesh["y"]["bdata"]), "<f4")
    assert np.array_equal(read, vertices[:, 1])
    assert np.frombuffer(base64.b64decode(mesh["i"]["bdata"]), "<u2").tolist() == [0, 49]
    assert (mesh["cmin"], mesh["cmax"]) == (0, 49)
    (plain,) = figures(mesh_view(vertices, faces, title="m", colors=np.full((50, 3), 7, np.uint8)))
    assert plain["data"][0]["vertexcolor"][0] == "rgb(7,7,7)"


def test_a_histogram_counts_every_value_and_shows_the_margin() -> None:
    (figure,) = figures(histogram(np.linspace(0, 1, 77), title="h", unit="px", margin=0.5))
    assert sum(figure["data"][0]["y"]) == 77
    assert figure["layout"]["shapes"][0]["x0"] == 0.5
    (still,) = figures(histogram(np.zeros(5), title="h", unit="px", margin=2.0))
    assert sum(still["data"][0]["y"]) == 5


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    found = thinned(np.arange(100_000.0))
    assert len(found) == MAX_POINTS
    assert (found[0], found[-1]) == (0, 99_999)


def test_a_table_has_three_forms() -> None:
    html = pieces.table(TABLE)
    assert '<span class="pill fail">fail</span>' in html
    assert '<tr class="main">' in html
    markdown = TABLE.markdown()
    assert markdown.splitlines()[2:5] == [
        "| name | value | verdict |",
        "| --- | ---: | --- |",
        "| a\\|b | 1 | fail |",
    ]
    assert TABLE.rich().row_count == 2
