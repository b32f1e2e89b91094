"""What a training says while it lasts: a bar for people, JSON lines and TensorBoard beside."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TrainingLog:
    """A progress bar on standard error, and a file with one JSON object a line.

    Args:
        path: of the file.
        step: steps that the training has taken; what a file or TensorBoard says of later ones, of
            a run that was cut off, is dropped.
        share: of the training that is over.
        tensorboard: folder for TensorBoard's event files; None for none.
    """

    def __init__(
        self, path: Path, *, step: int = 0, share: float = 0.0, tensorboard: Path | None = None
    ) -> None:
        self._board = None if tensorboard is None else _open_board(tensorboard, step)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = _lines_until(path, step)
        self._file = path.open("w")
        self._file.writelines(kept)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %  {task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(
            "training",
            total=1.0,
            completed=share,  # type: ignore[arg-type]
            state="",
        )

    def move(self, share: float) -> None:
        """Move the bar to a share of the whole."""
        self._bar.update(self._task, completed=share)

    def write(self, group: str, values: Mapping[str, float]) -> None:
        """Add a line to the file, and its numbers to TensorBoard.

        Args:
            group: "training" or "evaluation"; stands before the names in TensorBoard.
            values: "step" among them; a training's loss and images_per_second are shown beside
                the bar too.
        """
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        if group == "training":
            state = f"{values['images_per_second']:.1f} images/s  loss {values['loss']:.3f}"
            self._bar.update(self._task, state=state)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, int(values["step"]))
            self._board.flush()

    def show(self, picture: NDArray[np.uint8], step: int) -> None:
        """Give TensorBoard a picture [H, W, 3] RGB of what a step's network sees in heads."""
        if self._board is not None:
            self._board.add_image("evaluation/heads", picture, step, dataformats="HWC")
            self._board.flush()

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
        if self._board is not None:
            self._board.close()


def _open_board(folder: Path, step: int) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def _lines_until(path: Path, step: int) -> list[str]:
    """The whole lines of a log up to a step."""
    if step == 0 or not path.exists():
        return []
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if json.loads(line)["step"] <= step]
