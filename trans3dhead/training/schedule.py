"""How long a training lasts, and how the learning rates rise and fall over it (SPEC 4)."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from trans3dhead.training.config import TrainingConfig


class Budget:
    """How much of a training is over: counted in steps, or read off the clock.

    The clock starts when the object is made.

    Args:
        steps: of the whole training; None where the clock decides.
        seconds: of the whole training; None where steps decide.

    Attributes:
        spent: seconds that the training had taken before this process took it up.
    """

    def __init__(self, *, steps: int | None, seconds: float | None) -> None:
        self.steps = steps
        self.seconds = seconds
        self.spent = 0.0
        self._start = time.monotonic()

    @classmethod
    def of(cls, config: TrainingConfig, items: int) -> Self:
        """The budget of a configuration; a started step is done with a whole batch."""
        if config.minutes is not None:
            return cls(steps=None, seconds=60 * config.minutes)
        samples = config.epochs * items if config.samples is None else config.samples
        return cls(steps=math.ceil(samples / config.batch), seconds=None)

    def elapsed(self) -> float:
        """Seconds of training, those of earlier processes included."""
        return self.spent + time.monotonic() - self._start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The block's time does not count."""
        start = time.monotonic()
        yield
        self.spent -= time.monotonic() - start

    def share(self, step: int) -> float:
        """Share of the training that is over before a step (from 0); 1 or more at the end."""
        if self.steps is not None:
            return step / self.steps
        assert self.seconds is not None
        return self.elapsed() / self.seconds


def rate_factor(config: TrainingConfig, step: int, share: float) -> float:
    """What the learning rates are multiplied by.

    Args:
        config: warm-up and schedule.
        step: steps taken so far.
        share: of the training that is over, in [0, 1).
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    if config.schedule == "cosine":
        return warmup * (1 + math.cos(math.pi * share)) / 2
    return warmup * (config.decay_factor if share >= config.decay_at else 1.0)
