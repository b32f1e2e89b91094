"""The gates: each is one quantity of one output, measured, bounded and judged.

Kinds of gate, by how their name ends:
- a metric (`landmarks/nme`): mean over images of engine - reference, both against the ground truth;
- `..._p99`: 99th percentile over all points of how far the engine moves them;
- `..._largest`: the furthest point of the images judged, a plain fact without an interval;
- `..._batches`: the furthest point between an image answered alone and in company, likewise;
- `.../finite` and `engine/precision`: yes or no.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.quantities import Quantity
from benchmarks.parity.statistics import (
    MIN_IMAGES,
    Bootstrap,
    Interval,
    Verdict,
    images_needed,
    judge,
    percentile,
)
from benchmarks.parity.tensors import TensorDifference
from engines.contract import RecipeEntry
from engines.precision import DEQUANTIZE, SHORT_NAMES, Effective
from trans3dhead.metrics import METRICS

METRIC_OUTPUTS = {
    "nme": "landmarks",
    "z5_published": "vertices",
    "z5_defined": "vertices",
    "chamfer": "vertices",
    "pose_error": "rotation",
}
"""The output each metric is taken from."""
MOVEMENT_OUTPUTS = {
    "landmarks": ("movement",),
    "params": ("placement", "coefficients"),
    "rotation": ("movement",),
    "vertices": ("movement",),
    "projected": ("movement",),
}
P99, LARGEST, BATCHES = "_p99", "_largest", "_batches"
SHARE = 0.99
PRECISION_TOLERANCE = 0.02
"""A runtime may fold small products away, which moves the share of those in half."""

GATES = frozenset(
    [f"{output}/{metric}" for metric, output in METRIC_OUTPUTS.items()]
    + [
        f"{output}/{name}{kind}"
        for output, names in MOVEMENT_OUTPUTS.items()
        for name in names
        for kind in (P99, LARGEST, BATCHES)
    ]
)
"""Names of the gates that have margins."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One judged quantity; one without a margin is reported alone."""

    output: str
    quantity: str
    unit: str
    verdict: Verdict
    value: float | None = None
    """None where it was not measured; `reason` says why."""
    interval: Interval | None = None
    """At 95 %; None for plain facts and for too few images."""
    margin: float | None = None
    """In the gate's unit."""
    images_needed: int | None = None
    """About how many images would settle an inconclusive verdict."""
    reason: str = ""
    """Why it failed or was not measured, where the numbers alone do not say it."""

    @property
    def name(self) -> str:
        """OUTPUT/QUANTITY, as the margins file names it."""
        return f"{self.output}/{self.quantity}"

    def line(self) -> str:
        """One line: name, verdict, number, interval, margin."""
        parts = [f"{self.name}: {self.verdict}"]
        if self.value is not None:
            unit = f" {self.unit}" if self.unit else ""
            parts.append(f"{shown(self.value)}{unit}")
        if self.interval is not None:
            parts.append(f"95 % [{shown(self.interval.low)}, {shown(self.interval.high)}]")
        if self.margin is not None:
            parts.append(f"margin {shown(self.margin)}")
        if self.reason:
            parts.append(self.reason)
        if self.verdict == "inconclusive":
            parts.append(self.settled_by())
        return ", ".join(parts)

    def settled_by(self) -> str:
        """What it takes to settle an inconclusive gate."""
        if self.images_needed is None:
            return "no number of images would settle it: it lies on the margin"
        return f"about {self.images_needed} images would settle it"


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges n images by the margins of one recipe."""

    margins: dict[str, float]
    """Gate name to absolute margin."""
    images: int
    bootstrap: Bootstrap | None
    """None under MIN_IMAGES."""

    @classmethod
    def of(cls, margins: dict[str, float], images: int) -> "Judge":
        """A judge of so many images."""
        bootstrap = Bootstrap(images) if images >= MIN_IMAGES else None
        return cls(margins=margins, images=images, bootstrap=bootstrap)

    def metric(self, name: str, difference: NDArray[np.float64]) -> Gate:
        """A metric's gate from its paired differences [n], engine - reference."""
        output, metric = METRIC_OUTPUTS[name], METRICS[name]
        interval = self.bootstrap.of_mean(difference) if self.bootstrap else None
        return self._judged(output, name, metric.unit, float(difference.mean()), interval)

    def movement(self, quantity: Quantity) -> list[Gate]:
        """The two gates of a movement: its 99th percentile and its largest."""
        values, output, name = quantity.values, quantity.output, quantity.name
        interval = self.bootstrap.of_percentile(values, SHARE) if self.bootstrap else None
        gate = self._judged(output, name + P99, quantity.unit, percentile(values, SHARE), interval)
        return [gate, self._fact(quantity, LARGEST)]

    def batches(self, quantity: Quantity) -> Gate:
        """The gate of a movement between batches."""
        return self._fact(quantity, BATCHES)

    def _fact(self, quantity: Quantity, kind: str) -> Gate:
        """The largest value, judged as it is."""
        largest = float(quantity.values.max())
        name, certain = quantity.name + kind, Interval(largest, largest)
        gate = self._judged(quantity.output, name, quantity.unit, largest, certain)
        return replace(gate, interval=None)

    def _judged(
        self,
        output: str,
        quantity: str,
        unit: str,
        value: float,
        interval: Interval | None,
    ) -> Gate:
        margin = self.margins.get(f"{output}/{quantity}")
        verdict: Verdict = "reported" if margin is None else judge(interval, margin)
        needed = None
        if margin is not None and verdict == "inconclusive":
            needed = images_needed(value, interval, margin, self.images)
        return Gate(
            output=output,
            quantity=quantity,
            unit=unit,
            verdict=verdict,
            value=value,
            interval=interval,
            margin=margin,
            images_needed=needed,
        )


def finite_gate(tensor: TensorDifference) -> Gate:
    """NaN or infinity fails at once, however many numbers are right."""
    count = tensor.nan + tensor.infinite
    return Gate(
        output=tensor.output,
        quantity="finite",
        unit="numbers that are not finite",
        verdict="fail" if count else "pass",
        value=float(count),
        reason=f"first in sample {tensor.worst_sample} at {list(tensor.worst_index or ())}"
        if count
        else "",
    )


def broken_batch_gate(output: str, batch: int) -> Gate:
    """NaN or infinity at another batch size than the one that all images were answered at."""
    return Gate(
        output=output,
        quantity="finite_batches",
        unit="",
        verdict="fail",
        reason=f"NaN or infinity at batch {batch}",
    )


def precision_gate(promise: RecipeEntry, effective: Effective) -> Gate:
    """Does the engine compute in the precision its recipe promises, no lower and no higher?

    Lower only as far as its runtime states: OpenVINO's bfloat16 is of the whole graph.
    """
    promised, share = promise.precision, promise.low_flops_share
    names: tuple[str, ...] = (promised, f"{SHORT_NAMES[promised]} (emulated)")
    if DEQUANTIZE in promise.node_counts:
        names = ("int8 and float32", "int8 and bfloat16")
    found, most = effective.low_flops_found, max(share, effective.low_flops_promised)
    enough = share - PRECISION_TOLERANCE <= found <= most + PRECISION_TOLERANCE
    kept = effective.precision in names and enough
    return Gate(
        output="engine",
        quantity="precision",
        unit="share of FLOPs in low precision",
        verdict="pass" if kept else "fail",
        value=found,
        reason=""
        if kept
        else f"the recipe promises {names[0]} for {share:.1%} of the FLOPs, the engine computes "
        f"{effective.precision} for {found:.1%}",
    )


def not_measured(output: str, quantity: str, unit: str, reason: str) -> Gate:
    """A gate that could not be measured, and why."""
    return Gate(output=output, quantity=quantity, unit=unit, verdict="not measured", reason=reason)


def overall(gates: list[Gate]) -> Verdict:
    """One failed gate fails all; else one inconclusive gate leaves all inconclusive."""
    found = {gate.verdict for gate in gates}
    return next((verdict for verdict in ("fail", "inconclusive") if verdict in found), "pass")


def shown(value: float) -> str:
    """Four significant digits, without needless zeros."""
    return f"{value:.4g}"
