"""`verify`: run an engine over its bundle's reference and judge it. Needs no torch.

report = verify(Path("bundle/engines/onnxruntime-fp16"))
report.passed, report.headline, report.gates
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parity.batches import BatchFacts, compare_batches
from benchmarks.parity.evidence import gather
from benchmarks.parity.gates import (
    LARGEST,
    METRIC_OUTPUTS,
    P99,
    Gate,
    Judge,
    broken_batch_gate,
    finite_gate,
    not_measured,
    overall,
    precision_gate,
)
from benchmarks.parity.margins import Margins, margins_of
from benchmarks.parity.measuring import Measured, Meter, compare_metrics
from benchmarks.parity.outputs import (
    Mesh,
    Outputs,
    Progress,
    check_same_outputs,
    ground_truth,
    predicted,
    reference_as_truth,
)
from benchmarks.parity.quantities import Quantity, movements
from benchmarks.parity.results import MetricRow, ParityReport, Subject
from benchmarks.parity.tensors import compare
from benchmarks.parity.yardstick import Yardstick, bundled
from engines.batching import infer_all
from engines.bundle import Bundle, Reference
from engines.machine import this_machine
from engines.manifest import write_parity
from engines.runtime import Engine, bundle_of, open_engine
from trans3dhead.metrics import METRICS

NO_TRUTH = "the bundle's reference holds no ground truth"
NOT_FINITE = "an output holds NaN or infinity"
FOREIGN = "a foreign model promises nothing: its precision is what its adapter says"


def verify(
    engine_folder: Path,
    head_folder: Path | None = None,
    *,
    margins: Path | None = None,
    limit: int | None = None,
    ask: Callable[[Bundle], Yardstick] | None = None,
    threads: int | None = None,
    name: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> ParityReport:
    """Judge a built engine and write the verdict into its manifest.

    Args:
        engine_folder: BUNDLE/engines/NAME.
        head_folder: the head model, where the bundle neither holds it nor uses the built-in one.
        margins: a TOML file that overrides the shipped margins.
        limit: judge the first so many images of the bundle's reference alone.
        ask: gives something else to judge by than that reference (`benchmarks.eager`).
        threads: CPU threads; the runtime's own choice where None.
        name: what the report calls the engine; its folder where None.
        progress: called with stage, done, total.

    Raises:
        UserError: engine, bundle, head model or margins cannot be used.
    """
    with open_engine(engine_folder, threads) as engine:
        bundle = Bundle.open(bundle_of(engine_folder.absolute()))
        yardstick = ask(bundle) if ask is not None else bundled(bundle, limit)
        report = judge_engine(
            engine,
            bundle,
            yardstick,
            mesh=Mesh.of(bundle, head_folder),
            margins=margins,
            name=name or str(engine_folder),
            progress=progress,
        )
    write_parity(engine_folder, report.manifest_block())
    return report


def judge_engine(
    engine: Engine,
    bundle: Bundle,
    yardstick: Yardstick,
    *,
    mesh: Mesh,
    margins: Path | None,
    name: str,
    progress: Progress,
) -> ParityReport:
    """Judge an opened engine; `name` is what the report calls it, the rest as in `verify`."""
    clock = _Clock()
    manifest = engine.manifest
    recipe = engine.contract.recipes[manifest.recipe]
    allowed = margins_of(manifest.recipe, recipe, margins)
    reference = yardstick.reference
    with clock("inference"):
        count = len(reference)
        answers = infer_all(
            engine, reference.images, lambda done: progress("inference", done, count)
        )
    expected = reference.outputs()
    check_same_outputs(answers, expected, yardstick.source)
    with clock("tensors"):
        tensors = [compare(output, answers[output], expected[output]) for output in answers]
    if manifest.recipe in bundle.contract.recipes:
        precision = precision_gate(recipe, manifest.effective)
    else:
        precision = not_measured("engine", "precision", "", FOREIGN)
    gates = [precision, *map(finite_gate, tensors)]
    moved: list[Quantity] = []
    batches: BatchFacts | None = None
    if all(tensor.finite for tensor in tensors):
        size = bundle.contract.image.size
        with clock("batches"):
            between, batches = compare_batches(engine, reference.images, answers, size)
        with clock("vertices"):
            absent = _add_vertices(answers, expected, mesh, progress)
        meter = Meter(surface=mesh.surface, absent=absent, progress=progress, seconds=clock.seconds)
        found = _measure(reference, answers, expected, meter)
        with clock("movements"):
            moved = movements(answers, expected, size)
        with clock("statistics"):
            means = {name: float(values.mean()) for name, values in found[1].values.items()}
            judge = Judge.of(allowed.absolute(means), len(reference))
            more, rows = _judge(judge, found, moved, absent)
            more += [judge.batches(quantity) for quantity in between]
            more += [broken_batch_gate(*fault) for fault in batches.not_finite.items()]
    else:
        more, rows = _unmeasured()
    gates += more
    with clock("evidence"):
        evidence = gather(reference, answers, expected, moved, mesh)
    return ParityReport(
        verdict=overall(gates),
        images=len(reference),
        subject=_subject(engine, bundle, yardstick, allowed, name),
        gates=tuple(gates),
        metrics=tuple(rows),
        tensors=tuple(tensors),
        batches=batches,
        seconds=clock.seconds,
        evidence=evidence,
    )


def _add_vertices(
    answers: Outputs, expected: Outputs, mesh: Mesh, progress: Progress
) -> dict[str, str]:
    """Compute the vertices a params graph leaves out; what is absent still, and why."""
    if "vertices" in answers:
        return {}
    if "params" not in answers:
        return {"vertices": "the model gives neither vertices nor parameters"}
    for outputs, stage in ((answers, "engine's meshes"), (expected, "reference's meshes")):
        vertices = mesh.vertices(outputs["params"], progress, stage)
        if vertices is None:
            return {"vertices": mesh.reason}
        outputs["vertices"] = vertices
    return {}


Triple = tuple[Measured, Measured, Measured]
"""Metrics of engine and reference against the truth, and of the engine against the reference."""


def _measure(reference: Reference, answers: Outputs, expected: Outputs, meter: Meter) -> Triple:
    engine_answers = predicted(answers, reference.crops)
    reference_answers = predicted(expected, reference.crops)
    truth = ground_truth(reference)
    if truth is None:
        first = second = Measured(values={}, faults=dict.fromkeys(METRICS, NO_TRUTH))
    else:
        first, second = meter.measure([engine_answers, reference_answers], truth, "metrics")
    stand_in = reference_as_truth(reference_answers, reference.bboxes)
    (third,) = meter.measure([engine_answers], stand_in, "engine against reference")
    return first, second, third


def _judge(
    judge: Judge, found: Triple, moved: list[Quantity], absent: dict[str, str]
) -> tuple[list[Gate], list[MetricRow]]:
    gates, rows = compare_metrics(*found, judge)
    for quantity in moved:
        gates += judge.movement(quantity)
    for output, reason in absent.items():
        gates += [not_measured(output, f"movement{kind}", "", reason) for kind in (P99, LARGEST)]
    return gates, rows


def _unmeasured() -> tuple[list[Gate], list[MetricRow]]:
    """Metrics where an output is not made of numbers; the gate of that output has failed."""
    gates = [
        not_measured(METRIC_OUTPUTS[name], name, metric.unit, NOT_FINITE)
        for name, metric in METRICS.items()
    ]
    return gates, [MetricRow(metric=name, reason=NOT_FINITE) for name in METRICS]


def _subject(
    engine: Engine, bundle: Bundle, yardstick: Yardstick, allowed: Margins, name: str
) -> Subject:
    manifest, contract = engine.manifest, bundle.contract
    return Subject(
        engine=name,
        runtime=manifest.runtime,
        runtime_version=manifest.runtime_version,
        provider=manifest.provider,
        recipe=manifest.recipe,
        precision=manifest.effective.precision,
        low_flops=manifest.effective.low_flops_found,
        variant=contract.variant,
        head=contract.head.name,
        engine_sha256=manifest.engine_sha256,
        onnx_sha256=manifest.onnx_sha256,
        contract_sha256=manifest.contract_sha256,
        reference=yardstick.source,
        reference_sha256=yardstick.sha256,
        margins_sha256=allowed.sha256,
        margins_section=allowed.section,
        checkpoint=contract.provenance.checkpoint,
        checkpoint_sha256=contract.provenance.checkpoint_sha256,
        built_on=manifest.machine,
        judged_on=this_machine(),
    )


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
