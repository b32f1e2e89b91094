"""`bench graph`: the whole deployed graph against its backbone alone and against a plain export.

The share of the arithmetic that the backbone has is the most that the first ratio can reach where
every part of the network runs as well as the backbone does. The second says what the deployed form
is worth. All graphs are static; their inputs lie in host memory, and so do their outputs.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as passes

from benchmarks.parity.statistics import Interval
from benchmarks.throughput.checks import check_at_least_one, check_durations
from benchmarks.throughput.latency import Latency
from benchmarks.throughput.machine import MachineState, look
from benchmarks.throughput.measure import Progress, Row, measure
from benchmarks.throughput.null_engine import null_row
from benchmarks.throughput.results import speedup_over
from benchmarks.throughput.watch import Watched, watch
from engines.onnxruntime_session import create_session, run_session
from export.deployed import Deployed
from export.graph import node_counts, trace, trace_plain
from export.lowering import lower
from export.modules import module_of
from export.recipes import QAMemForm, Recipe
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.cost import cost_of
from trans3dhead.training.checkpoint import load_checkpoint

SCHEMA = 1
GRAPH_SCHEMA = Path(__file__).with_name("graph.schema.json")
WHOLE, BACKBONE, PLAIN = "whole", "backbone alone", "plain export"
SECONDS = 5.0
Array = NDArray[Any]
Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class GraphRow:
    """One graph on one runtime."""

    runtime: str
    precision: str
    graph: str
    images_per_second: float
    latency: Latency


@dataclass(frozen=True, kw_only=True)
class GraphRatio:
    """Images a second of the whole graph over those of another."""

    runtime: str
    precision: str
    over: str
    value: float
    interval: Interval | None
    """At 95 %, rounds drawn anew in pairs."""


@dataclass(frozen=True, kw_only=True)
class GraphReport:
    """One interleaved run."""

    schema: int = SCHEMA
    batch: int
    backbone_share: float
    """Of the arithmetic."""
    nodes: dict[str, dict[str, int]]
    """Graph to its nodes by kind."""
    rows: tuple[GraphRow, ...]
    ratios: tuple[GraphRatio, ...]
    before: MachineState
    """The machine as the run began."""
    watched: Watched
    """What else happened meanwhile."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"disturbed": self.watched.disturbed}


def bench_graph(
    checkpoint: Path,
    *,
    batch: int = 1,
    qamem: QAMemForm = "conv",
    seconds: float = SECONDS,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> GraphReport:
    """Trace the three graphs and time them on every CPU runtime that is here.

    Args:
        checkpoint: whose network is exported; its weights decide nothing of the speed.
        batch: of the static graphs.
        qamem: the deployed graph's form of query-aware memory.
        seconds: of counted calls for each row.
        threads: CPU threads; each runtime's own choice where None.

    Raises:
        UserError: no checkpoint, or a number makes no sense.
    """
    check_at_least_one(batch=batch, threads=threads)
    check_durations(seconds=seconds)
    trained = load_checkpoint(checkpoint)
    config = trained.preset.network
    progress("tracing", 0, 2)
    traced = trace(Deployed(trained.network, config), size=config.image_size, batch=batch)
    progress("tracing", 1, 2)
    whole = lower(traced, Recipe(name=WHOLE, qamem=qamem))
    graphs = {
        WHOLE: whole,
        BACKBONE: backbone_alone(whole),
        PLAIN: trace_plain(trained.network, size=config.image_size, batch=batch),
    }
    before = look()
    progress("tracing", 2, 2)
    with tempfile.TemporaryDirectory() as folder, watch() as watcher:
        rows = list(_rows(graphs, config, Path(folder), batch, threads))
        session = measure(
            [row for _, _, row in rows], null_row(), seconds=seconds, progress=progress
        )
    timings = dict(zip([key[:2] for key in rows], session.timings, strict=True))
    kinds = dict.fromkeys(kind for kind, _ in timings)
    return GraphReport(
        batch=batch,
        backbone_share=_backbone_share(config),
        nodes={name: node_counts(graph) for name, graph in graphs.items()},
        rows=tuple(
            GraphRow(
                runtime=kind[0],
                precision=kind[1],
                graph=name,
                images_per_second=timing.images_per_second,
                latency=Latency.of(timing.milliseconds),
            )
            for (kind, name), timing in timings.items()
        ),
        ratios=tuple(
            GraphRatio(runtime=kind[0], precision=kind[1], over=name, value=value, interval=within)
            for kind in kinds
            for name in (BACKBONE, PLAIN)
            for value, within in [speedup_over(timings[kind, WHOLE], timings[kind, name])]
        ),
        before=before,
        watched=watcher.watched(),
    )


def backbone_alone(whole: ir.Model) -> ir.Model:
    """The part of a deployed graph up to the backbone's last map."""
    cut = whole.clone()
    *_, last = (node for node in cut.graph if module_of(node).startswith("backbone"))
    cut.graph.outputs[:] = [last.outputs[0]]
    passes.RemoveUnusedNodesPass()(cut)
    return cut


def _backbone_share(config: NetworkConfig) -> float:
    flops = cost_of(config).flops
    return flops["backbone"] / sum(flops.values())


Kind = tuple[str, str]
"""Runtime and precision."""


def _rows(
    graphs: dict[str, ir.Model],
    config: NetworkConfig,
    folder: Path,
    batch: int,
    threads: int | None,
) -> Sequence[tuple[Kind, str, Row]]:
    rng = np.random.default_rng(0)
    size = config.image_size
    pixels = rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    crops = rng.normal(size=(batch, 3, size, size)).astype(np.float32)
    found: list[tuple[Kind, str, Row]] = []
    for name, graph in graphs.items():
        path = folder / f"{name}.onnx"
        path.write_bytes(ir.to_proto(graph).SerializeToString())
        image: Array = crops if name == PLAIN else pixels
        for kind, call in _calls(path, image, threads):
            row = Row(
                name=f"{' '.join(kind)}, {name}",
                batch=batch,
                call=call,
                precision=kind[1],
                copies="in and out",
                threads=threads,
            )
            found.append((kind, name, row))
    return found


def _calls(path: Path, image: Array, threads: int | None) -> list[tuple[Kind, Call]]:
    """A call of the graph on each runtime, in each precision that the processor has."""
    session = create_session(path, "cpu", threads)
    calls: list[tuple[Kind, Call]] = [
        (("ONNX Runtime", "float32"), lambda: run_session(session, {"image": image}))
    ]
    try:
        import openvino
    except ImportError:
        return calls
    core = openvino.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for word, hint, precision in (("FP32", "f32", "float32"), ("BF16", "bf16", "bfloat16")):
        if word in able:
            settings: dict[str, Any] = {
                "INFERENCE_PRECISION_HINT": hint,
                "PERFORMANCE_HINT": "LATENCY",
            }
            if threads is not None:
                settings["INFERENCE_NUM_THREADS"] = threads
            request = core.compile_model(path, "CPU", settings).create_infer_request()
            request.set_input_tensor(openvino.Tensor(image))
            calls.append((("OpenVINO", precision), request.infer))
    return calls
