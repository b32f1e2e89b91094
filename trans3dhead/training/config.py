"""How a network is trained (SPEC 4). No torch here."""

from dataclasses import dataclass
from typing import Literal, get_args

from engines.errors import UserError

Precision = Literal["float32", "bfloat16"]
Schedule = Literal["step", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Training; the defaults are the paper's."""

    epochs: int = 360
    """Passes over the training items, where neither samples nor minutes are given."""
    samples: int | None = None
    """Stop after this many samples instead."""
    minutes: float | None = None
    """Stop after this long instead. The schedule follows the clock, so no two runs are alike."""
    batch: int = 32
    """Images in one step."""
    learning_rate: float = 1e-4
    """Adam's rate for everything but the backbone."""
    backbone_factor: float = 0.1
    """The backbone's rate as a share of `learning_rate`."""
    schedule: Schedule = "step"
    """How the rates fall: once, at `decay_at`, or along a half cosine to zero."""
    decay_at: float = 240 / 360
    """Of the step schedule: share of the training after which the rates fall."""
    decay_factor: float = 0.1
    """Of the step schedule: what the rates are multiplied by."""
    warmup_steps: int = 500
    """Steps over which the rates rise from near zero."""
    shortcuts_first: bool = False
    """Whether each bottleneck of the backbone starts as its shortcut alone: from fresh weights,
    fifty layers then learn sooner."""
    quarter_until: float = 0.0
    """Share of the training up to which the network sees its crops at a quarter of their size: a
    sixteenth of the arithmetic, where an hour must do for weeks. Labels stay as they are."""
    half_until: float = 0.0
    """Likewise up to which it sees them at half their size."""
    clip_norm: float = 1.0
    """Longest gradient, as the norm over all parameters; a longer one is scaled down to it."""
    landmark_weight: float = 300.0
    """Lambda 1 of Eq. 8: landmarks in [0, 1] of the crop."""
    shape_weight: float = 50.0
    """Lambda 2 of Eq. 8: normalised head vertices."""
    reprojection_weight: float = 0.05
    """Lambda 3 of Eq. 8: head vertices in crop pixels."""
    euler: bool = True
    """Whether the Euler angles are supervised (Table 3 left)."""
    euler_weight: float = 0.05
    """Lambda 4 of Eq. 8: degrees."""
    precision: Precision = "float32"
    """What the network computes in; losses and the head model stay in float32."""
    seed: int = 0
    """Weights, dropout, the order of items and their crops follow from it."""

    def __post_init__(self) -> None:
        self._need("epochs", self.epochs > 0, "an integer above 0")
        self._need("samples", self.samples is None or self.samples > 0, "None or above 0")
        timed = self.minutes is not None
        self._need("minutes", not timed or self.minutes > 0, "None or above 0")  # type: ignore[operator]
        self._need("minutes", not timed or self.samples is None, "None where samples are given")
        self._need("batch", self.batch > 1, "an integer above 1 (BatchNorm needs two)")
        for name in ("learning_rate", "backbone_factor", "decay_factor", "clip_norm"):
            self._need(name, getattr(self, name) > 0, "a number above 0")
        self._need("schedule", self.schedule in get_args(Schedule), "step or cosine")
        self._need("decay_at", 0 < self.decay_at <= 1, "a share in (0, 1]")
        for name in ("quarter_until", "half_until"):
            self._need(name, 0 <= getattr(self, name) < 1, "a share in [0, 1)")
        self._need("warmup_steps", self.warmup_steps >= 0, "an integer of at least 0")
        for name in ("landmark", "shape", "reprojection", "euler"):
            field = f"{name}_weight"
            self._need(field, getattr(self, field) >= 0, "a number of at least 0")
        self._need("precision", self.precision in get_args(Precision), "float32 or bfloat16")

    def reduction(self, share: float) -> int:
        """By what the crops' side is divided when a share of the training is over: 4, 2 or 1."""
        if share < self.quarter_until:
            return 4
        return 2 if share < self.half_until else 1

    def _need(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise UserError(
                f"TrainingConfig.{name} is {getattr(self, name)!r}; expected {expected}; "
                "change that field"
            )
