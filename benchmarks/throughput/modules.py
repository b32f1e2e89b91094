"""`bench modules`: what each module of the network takes, by our names, on any runtime.

A runtime computes layers, which fuse several nodes, rename them, or stand for none. A layer's time
goes to the module of the products it computes; one without products to the module of its nodes.
Where that leaves two modules, none of the time is shared out by guess: it is told as fused across
them. What stands for no node of ours is told as unattributed, and what passes between the layers as
such. So the rows add up to the call.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.throughput.machine import MachineState, look
from benchmarks.throughput.measure import Progress
from benchmarks.throughput.rows import Images, names_of
from benchmarks.throughput.watch import Watched, watch
from engines.bundle import Bundle
from engines.errors import UserError
from engines.layer_times import LayerProfile, LayerTime, repeat
from engines.onnxruntime_session import PRODUCT_MARKS
from engines.precision import onnx_products
from engines.runtime import bundle_of, open_engine, profile_engine

if TYPE_CHECKING:
    import onnx

SCHEMA = 1
MODULES_SCHEMA = Path(__file__).with_name("modules.schema.json")
NETWORK = "network itself"
"""Of nodes that lie in no module."""
FUSED, UNATTRIBUTED, BETWEEN = "fused across modules", "unattributed", "between layers"
"""Rows that are no module's."""
DEPTH = 2
SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class ModuleRow:
    """One module, with all that lies below it, or one of the rows that are no module's."""

    module: str
    milliseconds: float
    """Mean of a call."""
    share: float
    """Of the call."""
    flops: float
    """Of a call: convolutions and matrix products."""
    flops_share: float
    layers: int
    """How many the runtime made of it."""


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """One engine, or the network in PyTorch."""

    name: str
    runtime: str
    precision: str
    batch: int
    calls: int
    """Recorded."""
    milliseconds: float
    """Mean of a recorded call: the rows' sum."""
    plain: float
    """Median of calls that were not recorded."""
    rows: tuple[ModuleRow, ...]
    """In the order in which the network meets its modules; then those that are no module's."""

    @property
    def attributed(self) -> float:
        """Share of the layers' time that has a module."""
        times = {row.module: row.milliseconds for row in self.rows}
        layers = sum(times.values()) - times.get(BETWEEN, 0.0)
        known = layers - times.get(FUSED, 0.0) - times.get(UNATTRIBUTED, 0.0)
        return known / layers if layers else 0.0


@dataclass(frozen=True, kw_only=True)
class ModulesReport:
    """One run of `bench modules`."""

    schema: int = SCHEMA
    depth: int
    """How many parts of a module's path are told apart."""
    threads: int | None
    """Of the CPU; None where each runtime chose."""
    profiled: tuple[Profiled, ...]
    machine: MachineState
    watched: Watched

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        found = asdict(self)
        for row, one in zip(found["profiled"], self.profiled, strict=True):
            row["attributed"] = one.attributed
        return found | {"disturbed": self.watched.disturbed}


class Graph:
    """Whose each node of an ONNX graph is; nodes are called MODULE/OPERATOR (`export.graph`)."""

    def __init__(self, model: "onnx.ModelProto", batch: int) -> None:
        nodes = model.graph.node
        self._products = {product.name: product.flops for product in onnx_products(model, batch)}
        self._makers = {name: node for node in nodes for name in node.output}
        self._names = {node.name: node.name for node in nodes}
        self._names |= {name: node.name for name, node in self._makers.items()}
        self._by_name = {node.name: node for node in nodes}
        self.modules = list(dict.fromkeys(_module(node.name) for node in nodes))
        """In the graph's order."""

    def flops(self) -> dict[str, float]:
        """By module, of a call."""
        found: defaultdict[str, float] = defaultdict(float)
        for name, flops in self._products.items():
            found[_module(name)] += flops
        return dict(found)

    def modules_of(self, layer: LayerTime) -> set[str]:
        """Whose time a layer's is: one module, several that are fused, or none that is known."""
        known = [self._names[name] for name in layer.nodes if name in self._names]
        products = [name for name in known if name in self._products]
        if not products and any(mark in layer.kind for mark in PRODUCT_MARKS):
            products = [found for name in known if (found := self._product_before(name))]
        if products:
            return {_module(name) for name in products}
        within = {_module(name) for name in layer.nodes if "/" in name}
        return {_module(name) for name in known} or within.intersection(self.modules)

    def _product_before(self, name: str) -> str | None:
        """The product whose activation a node is: a fusion may have the activation's name."""
        node = self._by_name[name]
        while node.name not in self._products:
            if not node.input or node.input[0] not in self._makers:
                return None
            node = self._makers[node.input[0]]
        return node.name


def _module(node: str) -> str:
    """The path before a node's operator; some runtimes put more behind it."""
    return node.partition("/")[0]


def profile_modules(
    engines: Sequence[Path],
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    batch: int = 1,
    depth: int = DEPTH,
    seconds: float = SECONDS,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> ModulesReport:
    """Record what each module of some engines takes, one engine after the other.

    Args:
        engines: engine folders.
        checkpoint: also recorded, in eager PyTorch; its modules have the trained network's names.
        device: of the checkpoint, cpu or cuda.
        batch: images a call.
        depth: parts of a module's path that are told apart: 1 backbone, 2 backbone.layer1, ...
        seconds: of recorded calls for each, and of calls that are not.
        threads: CPU threads; each runtime's own choice where None.

    Raises:
        UserError: nothing to record, something cannot be opened or told, or a number makes no
            sense.
    """
    _check(engines, checkpoint, batch=batch, depth=depth, seconds=seconds)
    images, names = Images(engines), names_of(engines)
    total = len(engines) + (checkpoint is not None)
    profiled = []
    with watch() as watcher:
        if checkpoint is not None:
            from benchmarks.throughput.torch_modules import profile_network

            profiled.append(
                profile_network(
                    checkpoint,
                    images,
                    device=device,
                    batch=batch,
                    depth=depth,
                    seconds=seconds,
                    threads=threads,
                )
            )
            progress("engines", 1, total)
        for name, folder in zip(names, engines, strict=True):
            profiled.append(
                _profile(
                    name,
                    folder,
                    images,
                    batch=batch,
                    depth=depth,
                    seconds=seconds,
                    threads=threads,
                )
            )
            progress("engines", len(profiled), total)
    return ModulesReport(
        depth=depth,
        threads=threads,
        profiled=tuple(profiled),
        machine=look(),
        watched=watcher.watched(),
    )


def _check(
    engines: Sequence[Path], checkpoint: Path | None, *, batch: int, depth: int, seconds: float
) -> None:
    if not engines and checkpoint is None:
        raise UserError(
            "nothing to record came; expected engine folders or a checkpoint; build an engine "
            "with `trans3dhead build`"
        )
    for name, value in (("--batch", batch), ("--depth", depth)):
        if value < 1:
            raise UserError(f"{name} {value} came; expected at least 1")
    if not 0 < seconds < float("inf"):
        raise UserError(f"--seconds {seconds:g} came; expected more than 0; {SECONDS:g} by default")


def _profile(
    name: str,
    folder: Path,
    images: Images,
    *,
    batch: int,
    depth: int,
    seconds: float,
    threads: int | None,
) -> Profiled:
    import onnx

    with open_engine(folder, threads) as engine:
        manifest = engine.manifest
        inputs = {"image": images(batch, engine.contract.image.size)}
        plain = repeat(lambda: engine.infer(inputs), seconds)
    found = profile_engine(folder, inputs, seconds=seconds, threads=threads)
    graph = Graph(
        onnx.load(Bundle.open(bundle_of(folder.absolute())).graph(manifest.recipe)), batch
    )
    return Profiled(
        name=name,
        runtime=manifest.runtime,
        precision=manifest.effective.precision,
        batch=batch,
        calls=found.calls,
        milliseconds=found.milliseconds,
        plain=float(np.median(plain)),
        rows=attribute(found, graph, depth),
    )


def attribute(found: LayerProfile, graph: Graph, depth: int) -> tuple[ModuleRow, ...]:
    """The layers' times by module."""
    layers = []
    for layer in found.layers:
        owners = {group_of(module, depth) for module in graph.modules_of(layer)}
        owner = FUSED if len(owners) > 1 else next(iter(owners), UNATTRIBUTED)
        layers.append((owner, layer.milliseconds))
    groups = dict.fromkeys(group_of(module, depth) for module in graph.modules)
    flops: defaultdict[str, float] = defaultdict(float)
    for module, count in graph.flops().items():
        flops[group_of(module, depth)] += count
    return make_rows(layers, flops, groups, call=found.milliseconds)


def group_of(module: str, depth: int) -> str:
    """The first parts of a module's path."""
    return ".".join(module.split(".")[:depth]) or NETWORK


def make_rows(
    layers: Iterable[tuple[str, float]],
    flops: Mapping[str, float],
    order: Iterable[str],
    *,
    call: float,
) -> tuple[ModuleRow, ...]:
    """Rows that add up to a call.

    Args:
        layers: owner and milliseconds of each layer.
        flops: of a call, by owner.
        order: owners as they shall stand; those with neither time nor operations are left out.
        call: its milliseconds.
    """
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for owner, milliseconds in layers:
        spent[owner].append(milliseconds)
    left = call - sum(map(sum, spent.values()))
    spent[BETWEEN] = []
    total = sum(flops.values())
    names = [name for name in order if name in spent or name in flops]
    return tuple(
        ModuleRow(
            module=name,
            milliseconds=(taken := left if name == BETWEEN else sum(spent[name])),
            share=taken / call,
            flops=flops.get(name, 0.0),
            flops_share=flops.get(name, 0.0) / total if total else 0.0,
            layers=len(spent[name]),
        )
        for name in (*names, FUSED, UNATTRIBUTED, BETWEEN)
    )
