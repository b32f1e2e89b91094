"""The four metrics of engine and reference, paired image by image.

n images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

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


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Measures answers about one head model."""

    surface: HeadSurface
    absent: Mapping[str, str]
    """Why an output is missing from the answers, by output."""
    progress: Progress

    def measure(self, answers: Predicted, truth: GroundTruth, stage: str) -> Measured:
        """All metrics that the answers allow; `stage` is what the progress calls it."""
        found = Measured(values={}, faults={})
        for output in OUTPUTS:
            names = [name for name, source in METRIC_OUTPUTS.items() if source == output]
            if getattr(answers, output) is None:
                reason = self.absent.get(output, f"the network gives no {output}")
                found.faults.update(dict.fromkeys(names, reason))
                continue
            try:
                found.values.update(self._of_output(answers, output, truth, stage))
            except UserError as error:
                found.faults.update(dict.fromkeys(names, str(error)))
        return found

    def _of_output(
        self, answers: Predicted, output: str, truth: GroundTruth, stage: str
    ) -> dict[str, Values]:
        """The metrics of one output, a few images at a time so that progress shows."""
        others = {other: None for other in OUTPUTS if other != output}
        before, total = OUTPUTS.index(output) * len(truth), len(OUTPUTS) * len(truth)
        parts = []
        for start in range(0, len(truth), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            some = replace(answers, **{output: getattr(answers, output)[part]}, **others)
            parts.append(per_image(some, _images(truth, part), self.surface))
            self.progress(stage, before + min(start + _AT_ONCE, len(truth)), total)
        return {name: np.concatenate([values[name] for values in parts]) for name in parts[0]}


def compare_metrics(
    engine: Measured, reference: Measured, against_reference: Measured, judge: Judge
) -> tuple[list[Gate], list[MetricRow]]:
    """Gate and table row of every metric.

    A metric that only the engine's answers do not allow (a mesh fallen to one point) fails.
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
        elif name in reference.values:
            reason = engine.faults[name]
            gate = replace(not_measured(output, name, metric.unit, reason), verdict="fail")
            mean = float(reference.values[name].mean())
            row = MetricRow(metric=name, reference=mean, reason=reason)
        else:
            reason = reference.faults[name]
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
