"""What a training says while it lasts: a bar for people, JSON lines for machines."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingLog:
    """A progress bar on standard error, and a file with one JSON object a line.

    Args:
        path: of the file; it is begun anew.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w")
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %  {task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("training", total=1.0, state="")

    def move(self, share: float) -> None:
        """Move the bar to a share of the whole."""
        self._bar.update(self._task, completed=share)

    def write(self, **values: Any) -> None:
        """Add a line to the file; loss and images_per_second are shown beside the bar too."""
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        state = f"{values['images_per_second']:.1f} images/s  loss {values['loss']:.3f}"
        self._bar.update(self._task, state=state)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
        self._file.close()
