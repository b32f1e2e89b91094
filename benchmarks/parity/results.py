"""What `verify` found: data for JSON, for tables and for the report's drawings.

n images, V vertices, S side of the crop.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.batches import BatchFacts
from benchmarks.parity.gates import Gate
from benchmarks.parity.statistics import Interval, Verdict, blind_share
from benchmarks.parity.tensors import TensorDifference
from benchmarks.parity.walk import Walk
from engines.machine import Machine
from trans3dhead.metrics import METRICS

SCHEMA = 1
"""Of the JSON; raised when a field changes its meaning."""
REPORT_SCHEMA = Path(__file__).with_name("report.schema.json")
"""What the JSON holds, as a JSON Schema."""
PRINTED = ("nme", "z5_published", "chamfer", "pose_error")
"""Metrics whose digits the paper prints."""
ANSWERING = ("inference", "batches")
"""Stages in which the engine itself works; all others are the judge's."""
COUNTED: tuple[Verdict, ...] = ("pass", "fail", "inconclusive", "not measured")


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric: mean over images of both against the truth, and of the one against the other."""

    metric: str
    """A key of METRICS."""
    engine: float | None = None
    """None where it was not measured."""
    reference: float | None = None
    difference: float | None = None
    """Mean of engine - reference."""
    interval: Interval | None = None
    """Of the difference, at 95 %."""
    against_reference: float | None = None
    """The metric of the engine with the reference's answers taken as the truth."""
    reason: str = ""
    """Why it was not measured."""

    @property
    def digits_move(self) -> bool | None:
        """Whether the digits the paper prints differ; None where it was not measured."""
        if self.engine is None or self.reference is None:
            return None
        metric = METRICS[self.metric]
        return metric.shown(self.engine) != metric.shown(self.reference)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was judged, and by what."""

    engine: str
    """The engine folder."""
    runtime: str
    runtime_version: str
    provider: str
    recipe: str
    precision: str
    """What the engine really computes in."""
    low_flops: float
    """The share of the FLOPs that it computes so, where that is half or bfloat16."""
    variant: str
    head: str
    engine_sha256: str
    onnx_sha256: str
    contract_sha256: str
    reference: str
    """What it was held against, in words."""
    reference_sha256: str
    margins_sha256: str
    margins_section: str
    checkpoint: str
    checkpoint_sha256: str
    built_on: Machine
    judged_on: Machine


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Arrays for drawings and histograms; not part of the JSON."""

    item_ids: tuple[str, ...]
    movements: dict[str, NDArray[np.float64]]
    """"OUTPUT/NAME" to its largest movement in each image [n]."""
    units: dict[str, str]
    """Unit of each movement."""
    worst: tuple[int, ...]
    """The images moved most, worst first; at most five."""
    crops: NDArray[np.uint8]
    """[worst, S, S, 3] RGB."""
    points: tuple[NDArray[np.floating], NDArray[np.floating]] | None
    """(reference, engine) landmarks of those images [worst, 68, 2], crop pixels."""
    mesh: NDArray[np.float64] | None
    """[V, 3] metres: the mean predicted head, in model space."""
    faces: NDArray[np.int32]
    """[F, 3]."""
    vertex_error: NDArray[np.float64] | None
    """[V] mm: how far the engine moves each vertex, mean over images."""


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """The verdict on one engine, with all it rests on."""

    schema: int = SCHEMA
    verdict: Verdict
    images: int
    """Judged."""
    subject: Subject
    gates: tuple[Gate, ...]
    metrics: tuple[MetricRow, ...]
    tensors: tuple[TensorDifference, ...]
    batches: BatchFacts | None
    """What was tried to see whether an answer depends on its company; None where outputs broke."""
    seconds: dict[str, float]
    """By stage."""
    evidence: Evidence = field(repr=False, compare=False)
    walk: Walk | None = None
    """Where the engine leaves the reference; None where nobody asked."""

    @property
    def passed(self) -> bool:
        """Whether equality is shown; an inconclusive verdict shows nothing."""
        return self.verdict == "pass"

    def with_verdict(self, verdict: Verdict) -> tuple[Gate, ...]:
        """The gates of one verdict."""
        return tuple(gate for gate in self.gates if gate.verdict == verdict)

    @property
    def digits_line(self) -> str:
        """Whether a table of the paper would print other digits for this engine."""
        rows = [row for row in self.metrics if row.metric in PRINTED]
        moved = [METRICS[row.metric].label for row in rows if row.digits_move]
        unknown = [METRICS[row.metric].label for row in rows if row.digits_move is None]
        if len(unknown) == len(rows):
            answer = "not measured"
        else:
            answer = f"yes ({', '.join(moved)})" if moved else "no"
            answer += f"; not measured: {', '.join(unknown)}" if unknown else ""
        return f"the paper's printed digits move: {answer}, at {self.images} images"

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        name = f"{self.subject.runtime} {self.subject.recipe} ({self.subject.precision})"
        counts = {verdict: len(self.with_verdict(verdict)) for verdict in COUNTED}
        said = {
            "pass": f"{name} answers like PyTorch in float32",
            "fail": f"{name} does not answer like PyTorch in float32",
            "inconclusive": f"it is open whether {name} answers like PyTorch in float32",
        }[self.verdict]
        listed = [f"{count} {verdict}" for verdict, count in counts.items() if count]
        total = sum(counts.values())
        return (
            f"{self.verdict.upper()}: {said}, on {self.images} images; "
            f"of {total} gates {', '.join(listed)}"
        )

    @property
    def batch_line(self) -> str:
        """In what company images were answered."""
        if self.batches is None:
            return "batches were not compared: an output holds NaN or infinity"
        facts = self.batches
        sizes = ", ".join(map(str, facts.sizes))
        bits = "the same bits" if facts.repeats_exactly else "not the same bits"
        return (
            f"{facts.images} images answered alone and in batches of {sizes}, also in reverse; "
            f"asked twice: {bits}"
        )

    @property
    def blind_line(self) -> str:
        """What so few images cannot show."""
        return (
            f"{self.images} images: a fault that shows on fewer than "
            f"{blind_share(self.images):.1%} of all images may have gone unseen (95 %)"
        )

    @property
    def time_line(self) -> str:
        """What the engine took and what the judge took, stage by stage.

        Each metric is measured three times: engine and reference against the truth, and the one
        against the other.
        """
        stages = ", ".join(f"{stage} {taken:.2f}" for stage, taken in self.seconds.items())
        judging = sum(taken for stage, taken in self.seconds.items() if stage not in ANSWERING)
        return f"seconds: {stages}; beyond inference {judging:.2f} for {self.images} images"

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the values of each image and without the drawings' arrays."""
        found = dataclasses.asdict(self)
        found["gates"] = [
            {"name": gate.name, **value}
            for gate, value in zip(self.gates, found["gates"], strict=True)
        ]
        found["evidence"] = {
            "item_ids": list(self.evidence.item_ids),
            "largest_movement": {
                name: {"unit": self.evidence.units[name], "values": values.tolist()}
                for name, values in self.evidence.movements.items()
            },
        }
        if self.walk is not None:
            found["walk"] |= {"headline": self.walk.headline, "suspect": self.walk.suspect.part}
        found["digits"] = self.digits_line
        found["headline"] = self.headline
        return found

    def manifest_block(self) -> dict[str, Any]:
        """What the engine's manifest keeps of it."""
        return {
            "verdict": self.verdict,
            "images": self.images,
            "gates": {gate.name: gate.verdict for gate in self.gates},
            "margins_sha256": self.subject.margins_sha256,
            "reference_sha256": self.subject.reference_sha256,
            "judged_on": dataclasses.asdict(self.subject.judged_on),
        }
