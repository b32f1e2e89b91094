"""How a network is trained (SPEC 4). No torch here."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from engines.errors import UserError
from engines.records import from_value

Precision = Literal["float32", "bfloat16", "float16"]
Schedule = Literal["step", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training crops are made harder; off, as DAD-3DHeads' own training has it (SPEC 5)."""

    rotate: float = 0.0
    """Largest turn in the plane, degrees to either side; landmarks, mesh and pose follow."""
    recolour: float = 0.0
    """Share of the crops whose colours change; of those some are blurred, noisy or compressed."""
    occlude: float = 0.0
    """Share of the crops that a patch covers in part."""

    def __post_init__(self) -> None:
        wanted = {"rotate": (180.0, "degrees"), "recolour": (1.0, ""), "occlude": (1.0, "")}
        for name, (most, unit) in wanted.items():
            if not 0 <= getattr(self, name) <= most:
                raise UserError(
                    f"augmentation.{name} is {getattr(self, name)!r}; expected 0 to {most:g} "
                    f"{unit}".rstrip()
                    + "; change that field"
                )


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
    start_file: str | None = None
    """Checkpoint whose weights the whole network starts from; fresh weights where None."""
    start_sha256: str | None = None
    """Of that file."""
    backbone_file: str | None = None
    """torchvision's ResNet file whose weights the backbone starts from; fresh weights where None.
    """
    backbone_sha256: str | None = None
    """Of that file."""
    shortcuts_first: bool = False
    """Whether each bottleneck of the backbone starts as its shortcut alone: from fresh weights,
    fifty layers then learn sooner."""
    quarter_until: float = 0.0
    """Share of the training up to which the network sees its crops at a quarter of their size: a
    sixteenth of the arithmetic, where an hour must do for weeks. Labels stay as they are."""
    half_until: float = 0.0
    """Likewise up to which it sees them at half their size."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """What besides random boxes makes the crops harder."""
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
    """What the network computes in; weights, losses and the head model stay in float32. With
    float16 the loss is scaled, so that small gradients survive."""
    ema_decay: float | None = None
    """Share of the averaged weights that a step keeps; the averaged weights are then what is
    measured and saved. None for the weights as they are."""
    seed: int = 0
    """Weights, dropout, the order of items and their crops follow from it."""

    def __post_init__(self) -> None:
        self._need("epochs", self.epochs > 0, "an integer above 0")
        self._need("samples", self.samples is None or self.samples > 0, "None or above 0")
        timed = self.minutes is not None
        self._need("minutes", not timed or self.minutes > 0, "None or above 0")  # type: ignore[operator]
        self._need("minutes", not timed or self.samples is None, "None where samples are given")
        alone = self.start_file is None or self.backbone_file is None
        self._need("backbone_file", alone, "None where start_file is given")
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
        precisions = get_args(Precision)
        self._need("precision", self.precision in precisions, f"one of {', '.join(precisions)}")
        averaged = self.ema_decay is not None
        self._need("ema_decay", not averaged or 0 < self.ema_decay < 1, "None or within (0, 1)")  # type: ignore[operator]

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


def changed(config: TrainingConfig, settings: Sequence[str]) -> TrainingConfig:
    """A configuration with some fields changed.

    Args:
        config: what is changed.
        settings: "NAME=VALUE" each, the value in JSON's spelling or a bare word; a field within a
            field is named with a dot.

    Raises:
        UserError: a setting without "=", an unknown field, or a value that does not fit it.
    """
    values = asdict(config)
    for setting in settings:
        name, equals, text = setting.partition("=")
        *groups, field = name.split(".")
        place: Any = values
        for group in groups:
            place = place.get(group) if isinstance(place, dict) else None
        if not equals or not isinstance(place, dict) or field not in place:
            raise UserError(
                f"setting {setting!r} came; expected NAME=VALUE with one of the names "
                f"{', '.join(values)}; correct it"
            )
        try:
            place[field] = json.loads(text)
        except ValueError:
            place[field] = text
    return from_value(TrainingConfig, values, "the settings")
