"""A table as data, shown by the terminal, as Markdown or as HTML."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.parity.statistics import Interval, Verdict

if TYPE_CHECKING:
    from rich.table import Table as RichTable

STYLES: dict[Verdict, str] = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "not measured": "dim",
    "reported": "none",
}
"""How the terminal shows a verdict."""
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; numbers are aligned to the right."""

    label: str
    number: bool = True


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row."""

    cells: tuple[str, ...]
    verdict: Verdict | None = None
    """Colours the row, where it has one."""
    main: bool = False
    """Stands out."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a title and a note below."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def markdown(self) -> str:
        """The table as Markdown, its title first where it has one."""
        ruler = ["---:" if column.number else "---" for column in self.columns]
        lines = [[column.label for column in self.columns], ruler]
        lines += [list(row.cells) for row in self.rows]
        body = "\n".join(f"| {' | '.join(map(_escaped, cells))} |" for cells in lines)
        note = f"\n\n{self.note}" if self.note else ""
        title = f"### {self.title}\n\n" if self.title else ""
        return f"{title}{body}{note}\n"

    def rich(self) -> "RichTable":
        """The table for the terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table as RichTable

        made = RichTable(
            title=self.title,
            caption=self.note or None,
            title_justify="left",
            caption_justify="left",
            box=SIMPLE_HEAD,
        )
        for column in self.columns:
            made.add_column(column.label, justify="right" if column.number else "left")
        for row in self.rows:
            style = STYLES[row.verdict] if row.verdict else "bold" if row.main else None
            made.add_row(*map(escape, row.cells), style=style)
        return made


def number(value: float | None, digits: int = 4) -> str:
    """So many significant digits; a dash for what was not measured."""
    return NOTHING if value is None else f"{value:.{digits}g}"


def milliseconds(value: float) -> str:
    """Three digits, and never an exponent."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{decimals}f}"


def interval(value: Interval | None, digits: int = 3) -> str:
    """[low, high]; a dash where there is none."""
    if value is None:
        return NOTHING
    return f"[{value.low:.{digits}g}, {value.high:.{digits}g}]"


def share(value: float, within: Interval | None) -> str:
    """Percent, and the interval where there is one."""
    shown = "" if within is None else f" [{within.low:.0%}, {within.high:.0%}]"
    return f"{value:.0%}{shown}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
