"""What commands with long tables and several stages show on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

FILE_WIDTH = 160
"""Columns where the output is no terminal: tables then keep their lines whole."""


def wide_console() -> "Console":
    """A console whose tables are not squeezed into 80 columns when they go to a file."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=FILE_WIDTH)


def say(console: "Console", text: str, style: str | None = None) -> None:
    """Print a line as it is, however long."""
    console.print(text, style=style, markup=False, soft_wrap=True)


@contextmanager
def stage_bars(console: "Console") -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage, called with (stage, done, total); gone when all is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


@contextmanager
def rate_bar(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar on stderr with items a second, called once an item; gone when all is done.

    Args:
        total: None where nobody knows.
    """
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    class Rate(bars.ProgressColumn):
        """Items a second."""

        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed:.1f} {what}/s" if task.speed else "")

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
