"""Pieces of HTML: verdicts, tables, images, lists. All text that is given is escaped."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from benchmarks.parity.statistics import Verdict
from benchmarks.report.tables import Table
from engines.errors import UserError

Html = Markup
"""Text that is HTML already; anything else is escaped where it enters a page."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a page."""

    title: str
    body: Sequence[Html | str] = field(default_factory=tuple)
    """Pieces from top to bottom; a plain string becomes a paragraph."""
    lead: str = ""
    """A sentence under the title: what one sees here."""


def verdict_line(verdict: Verdict, text: str) -> Html:
    """The banner that says it in one line."""
    return Markup('<p class="verdict {}"><b>{}</b><span>{}</span></p>').format(
        _css(verdict), verdict, text
    )


def pill(verdict: Verdict) -> Html:
    """A small coloured word."""
    return Markup('<span class="pill {}">{}</span>').format(_css(verdict), verdict)


def table(made: Table) -> Html:
    """A table that scrolls sideways where the screen is narrow."""
    head = Markup().join(
        Markup("<th{}><span>{}</span></th>").format(_aligned(column.number), column.label)
        for column in made.columns
    )
    rows = Markup().join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="main"') if row.main else "",
            Markup().join(
                Markup("<td{}>{}</td>").format(
                    _aligned(column.number), pill(row.verdict) if cell == row.verdict else cell
                )
                for column, cell in zip(made.columns, row.cells, strict=True)
            ),
        )
        for row in made.rows
    )
    note = Markup('<p class="note">{}</p>').format(made.note) if made.note else ""
    return Markup(
        '<figure class="table"><figcaption>{}</figcaption><div class="scroll"><table>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}</figure>"
    ).format(made.title, head, rows, note)


def image_tag(image: NDArray[np.uint8], caption: str = "", alt: str = "") -> Html:
    """An image [H, W, 3] uint8 RGB within the page, as JPEG with its colours whole."""
    import cv2

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(
            f"an image came as {image.dtype} {list(image.shape)}; expected uint8 [H, W, 3] RGB; "
            "convert it first"
        )
    quality = [
        cv2.IMWRITE_JPEG_QUALITY,
        92,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    data = base64.b64encode(encoded.tobytes()).decode()
    below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup(
        '<figure class="image"><img alt="{}" width="{}" height="{}" '
        'src="data:image/jpeg;base64,{}">{}</figure>'
    ).format(alt or caption, image.shape[1], image.shape[0], data, below)


def gallery(images: Sequence[Html], *, wide: bool = False) -> Html:
    """Figures side by side, as many as the screen holds; two at most where they are wide."""
    return Markup('<div class="gallery{}">{}</div>').format(
        " wide" if wide else "", Markup().join(images)
    )


def listing(lines: Sequence[str]) -> Html:
    """A bulleted list."""
    items = Markup().join(Markup("<li>{}</li>").format(line) for line in lines)
    return Markup("<ul>{}</ul>").format(items)


def facts(pairs: Mapping[str, Any]) -> Html:
    """Names and values in two columns."""
    rows = Markup().join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in pairs.items()
    )
    return Markup("<dl>{}</dl>").format(rows)


def details(summary: str, body: Html) -> Html:
    """Something that is folded until it is asked for."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, body)


def command(text: str) -> Html:
    """A command line to copy."""
    return Markup('<pre class="command">{}</pre>').format(text)


def _css(verdict: Verdict) -> str:
    return verdict.replace(" ", "-")


def _aligned(is_number: bool) -> Html:
    return Markup(' class="number"') if is_number else Markup("")
