"""What a training leaves in its folder: log, state, pictures, the best checkpoint and the last."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from engines.errors import UserError
from engines.files import write_whole
from trans3dhead.head.model import HeadModel
from trans3dhead.outputs.files import png_bytes
from trans3dhead.training.average_face import average_face, mean_rotation
from trans3dhead.training.checkpoint import CheckpointRecord, save_checkpoint
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.log import TrainingLog
from trans3dhead.training.loop import Progress, Training
from trans3dhead.training.pictures import draw_heads
from trans3dhead.training.state import TrainingState, write_state
from trans3dhead.training.validation import constant_answers, deciding, validate

CHECKPOINT_FILE = "last.safetensors"
"""There once a training is over."""
BEST_FILE = "best.safetensors"
"""The best of several evaluations, by `validation.deciding`."""
STATE_FILE = "state.safetensors"
"""There while a training is not over."""
LOG_FILE = "log.jsonl"
PICTURES = "pictures"
BOARD = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How often a training is measured and saved; nothing of it changes the last weights."""

    evaluations: int = 1
    """Evenly spread over the training; the last is at its end."""
    save_every: int = 1000
    """Steps between two states from which the training can be taken up."""
    resume: bool = False
    """Whether to go on from the state in the folder; where there is none, the training begins."""
    tensorboard: bool = False
    """Whether to write event files too."""

    def __post_init__(self) -> None:
        for name in ("evaluations", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected at least 1; raise it")


class Keeper(AbstractContextManager["Keeper"]):
    """Writes a training's folder; of several processes only the first has one.

    Args:
        training: where it stands when this is made.
        out: the folder.
        head: the head model.
        unseen: the split that is measured.
        keeping: how often.
        state: what the training was restored from.
        workers: processes that make crops for an evaluation.
    """

    def __init__(
        self,
        training: Training,
        out: Path,
        *,
        head: HeadModel,
        unseen: LabelledHeads,
        keeping: Keeping,
        state: TrainingState | None,
        workers: int,
    ) -> None:
        self.training = training
        self.out = out
        self.head = head
        self.unseen = unseen
        self.keeping = keeping
        self.workers = workers
        self.evaluations = 0 if state is None else state.record.evaluations
        self.best = None if state is None else state.record.best
        self.size = training.preset.network.image_size
        self.mean_rotation = mean_rotation(training.heads)
        face = average_face(training.heads, self.size)
        self.constant = constant_answers(unseen, face, self.mean_rotation, self.size)
        self.log = TrainingLog(
            out / LOG_FILE,
            step=training.step,
            share=training.budget.share(training.step),
            tensorboard=out / BOARD if keeping.tensorboard else None,
        )

    def after(self, progress: Progress) -> None:
        """Note a step; measure and save where it is time."""
        self.log.move(progress.share)
        if progress.line is not None:
            self.log.write("training", progress.line)
        share, count = progress.share, self.keeping.evaluations
        with self.training.budget.paused():
            if share < 1 and share * count >= self.evaluations + 1:
                self._evaluate()
            if progress.step % self.keeping.save_every == 0:
                state = self.training.state(evaluations=self.evaluations, best=self.best)
                write_state(self.out / STATE_FILE, *state)

    def finish(self) -> CheckpointRecord:
        """Measure the finished network and write it; the state goes."""
        record = self._evaluate()
        save_checkpoint(self.out / CHECKPOINT_FILE, self.training.result, record)
        (self.out / STATE_FILE).unlink(missing_ok=True)
        return record

    def __enter__(self) -> Self:
        self.log.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.log.__exit__(kind, error, traceback)

    def _evaluate(self) -> CheckpointRecord:
        """Measure the network, show what it sees, and keep it if it is the best of several."""
        training, network = self.training, self.training.result
        results = validate(network, self.unseen, self.size, workers=self.workers)
        self.evaluations += 1
        record = CheckpointRecord(
            preset=training.preset,
            head=training.identity,
            items=len(training.heads),
            mean_rotation=tuple(self.mean_rotation.ravel().tolist()),
            samples_seen=training.samples_seen,
            minutes=training.budget.elapsed() / 60,
            results=results | self.constant,
        )
        place = {"step": training.step, "samples": training.samples_seen}
        self.log.write("evaluation", place | results)
        picture = draw_heads(network, self.unseen, self.size, self.head)
        name = f"step-{training.step:07d}.png"
        write_whole(self.out / PICTURES / name, png_bytes(picture))
        self.log.show(picture, training.step)
        if self.keeping.evaluations > 1 and (self.best is None or deciding(results) < self.best):
            self.best = deciding(results)
            save_checkpoint(self.out / BEST_FILE, network, record)
        return record
