"""A page: one HTML file that needs no network, light or dark as the reader's system is."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2

from benchmarks.report.figures import COLORS
from benchmarks.report.pieces import Html, Section

FOLDER = Path(__file__).parent
CHART = 'class="plot"'
"""Marks a figure; a page without one does without Plotly's 5 MB."""


def page(
    title: str, sections: Sequence[Section], *, banner: Html | str = "", subtitle: str = ""
) -> str:
    """The whole HTML file.

    Args:
        sections: in order; each has an entry in the table of contents.
        banner: what stands on top of all: `pieces.verdict_line`.
        subtitle: what was looked at, where and when.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    shown = [(section, [_html(piece) for piece in section.body]) for section in sections]
    charts = any(CHART in piece for _, pieces in shown for piece in pieces)
    return environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        banner=banner,
        sections=shown,
        colors=COLORS,
        plotly=_plotly() if charts else "",
    )


def _html(piece: Html | str) -> Html:
    """The piece itself; a paragraph of what is plain text."""
    return piece if isinstance(piece, Html) else Html("<p>{}</p>").format(piece)


def _plotly() -> Html:
    """Plotly's script, from the installed package."""
    script = files("plotly").joinpath("package_data", "plotly.min.js")
    return Html(script.read_text(encoding="utf-8"))
