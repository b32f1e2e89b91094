"""The four metrics of engine and reference, paired image by image.

n images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.gates import METRIC_OUTPUTS, Gate, Judge, not_measured
from benchmarks.parity.outputs import Progress
from benchmarks.parity.results import MetricRow
from engines.errors import UserError
from trans3dhead.head.surface import HeadSurface
from trans3dhead.metrics import METRICS, GroundTruth, Predicted, per_image

Values = NDArray[np.float64]

OUTPUTS = tuple(field.name for field in fields(Predicted))
_AT_ONCE = 25
"""Images between two steps of the progress."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Metrics of n images [n]; a metric is in `values` or has its reason in `faults`."""

    values: dict[str, Values]
    faults: dict[str, str]
    absent: frozenset[str] = frozenset()
    """Those of `faults` whose output was never given."""


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Measures answers about one head model."""

    surface: HeadSurface
    absent: Mapping[str, str]
    """Why an output is missing from the answers, by output."""
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    """Spent so far, by metric."""

    def measure(
        self, answers: Sequence[Predicted], truth: GroundTruth, stage: str
    ) -> list[Measured]:
        """All metrics that each of several answers allows; the progress calls it `stage`.

        A few images at a time: progress shows, and what is taken from the truth once for all
        answers (Z5's pairs) is not kept for thousands of images.
        """
        sides = [self._side(given) for given in answers]
        for start in range(0, len(truth), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            some = _images(truth, part)
            for side in sides:
                self._measure_part(side, part, some)
            self.progress(stage, min(start + _AT_ONCE, len(truth)), len(truth))
        return [side.measured() for side in sides]

    def _side(self, answers: Predicted) -> "_Side":
        side = _Side(answers)
        for output in OUTPUTS:
            if getattr(answers, output) is None:
                side.give_up(output, self.absent.get(output, f"the network gives no {output}"))
        return side

    def _measure_part(self, side: "_Side", part: slice, truth: GroundTruth) -> None:
        for output in side.outputs():
            given = getattr(side.answers, output)[part]
            alone = Predicted(**{**dict.fromkeys(OUTPUTS), output: given})
            try:
                found = per_image(alone, truth, self.surface, self.seconds)
            except UserError as error:
                side.give_up(output, str(error))
                continue
            for name, values in found.items():
                side.parts[name].append(values)


class _Side:
    """One set of answers on its way to its metrics."""

    def __init__(self, answers: Predicted) -> None:
        self.answers = answers
        self.parts: dict[str, list[Values]] = {name: [] for name in METRICS}
        self.faults: dict[str, str] = {}

    def outputs(self) -> list[str]:
        """Those that can be measured so far."""
        given = (METRIC_OUTPUTS[name] for name in METRICS if name not in self.faults)
        return list(dict.fromkeys(given))

    def give_up(self, output: str, reason: str) -> None:
        """None of an output's metrics can be measured."""
        for name, source in METRIC_OUTPUTS.items():
            if source == output:
                self.faults[name] = reason

    def measured(self) -> Measured:
        values = {
            name: np.concatenate(parts)
            for name, parts in self.parts.items()
            if name not in self.faults
        }
        given = [getattr(self.answers, METRIC_OUTPUTS[name]) is not None for name in METRICS]
        absent = frozenset(name for name, there in zip(METRICS, given, strict=True) if not there)
        return Measured(values=values, faults=self.faults, absent=absent)


def compare_metrics(
    engine: Measured, reference: Measured, against_reference: Measured, judge: Judge
) -> tuple[list[Gate], list[MetricRow]]:
    """Gate and table row of every metric.

    A metric that only the engine's answers do not allow (a mesh fallen to one point) fails; one
    whose output it never gives is not measured.
    """
    gates, rows = [], []
    for name, metric in METRICS.items():
        output = METRIC_OUTPUTS[name]
        direct = against_reference.values.get(name)
        moved = None if direct is None else float(direct.mean())
        if name in engine.values and name in reference.values:
            gate = judge.metric(name, engine.values[name] - reference.values[name])
            row = MetricRow(
                metric=name,
                engine=float(engine.values[name].mean()),
                reference=float(reference.values[name].mean()),
                difference=gate.value,
                interval=gate.interval,
                against_reference=moved,
            )
        elif name in reference.values and name not in engine.absent:
            reason = engine.faults[name]
            gate = replace(not_measured(output, name, metric.unit, reason), verdict="fail")
            mean = float(reference.values[name].mean())
            row = MetricRow(metric=name, reference=mean, reason=reason)
        else:
            reason = reference.faults.get(name) or engine.faults[name]
            gate = not_measured(output, name, metric.unit, reason)
            row = MetricRow(metric=name, against_reference=moved, reason=reason)
        gates.append(gate)
        rows.append(row)
    return gates, rows


def _images(truth: GroundTruth, part: slice) -> GroundTruth:
    """Some of the images of a ground truth."""
    ids = truth.item_ids
    return GroundTruth(
        landmarks=truth.landmarks[part],
        bbox=truth.bbox[part],
        model_view=truth.model_view[part],
        vertices=truth.vertices[part],
        item_ids=None if ids is None else ids[part],
    )
