"""What each part of the network takes, by our names, on any runtime.

Parts are those of `export.modules`, of which `verify --walk` speaks too.

A runtime computes layers, which fuse several nodes, rename them, or stand for none. A layer's time
goes to the part whose products it computes; one without products to the part of its nodes. Where
that leaves two parts, none of the time is shared out by guess: it is told as fused across them.
What stands for no node of ours is told as unattributed, and what passes between the layers as such.
So the rows add up to the call.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.throughput.machine import MachineState
from benchmarks.throughput.watch import Watched
from engines.layer_times import LayerProfile, LayerTime
from engines.onnxruntime_session import PRODUCT_MARKS
from engines.precision import onnx_products
from export.modules import part_of

if TYPE_CHECKING:
    import onnx

SCHEMA = 2
MODULES_SCHEMA = Path(__file__).with_name("modules.schema.json")
NETWORK = "network itself"
"""Of nodes that lie in no module."""
FUSED, UNATTRIBUTED, BETWEEN = "fused across parts", "unattributed", "between layers"
"""Rows that are no part's."""


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """One part of the network, or one of the rows that are none."""

    part: str
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
    """Mean of calls that were not recorded, half of them before and half after the others."""
    rows: tuple[PartRow, ...]
    """In the order in which the network meets its parts; then those that are none."""

    @property
    def attributed(self) -> float:
        """Share of the layers' time that has a part."""
        times = {row.part: row.milliseconds for row in self.rows}
        layers = sum(times.values()) - times.get(BETWEEN, 0.0)
        known = layers - times.get(FUSED, 0.0) - times.get(UNATTRIBUTED, 0.0)
        return known / layers if layers else 0.0


@dataclass(frozen=True, kw_only=True)
class ModulesReport:
    """One run of `bench modules`."""

    schema: int = SCHEMA
    depth: int | None
    """Words of a part's name that are told apart; None for all."""
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

    def owners_of(self, layer: LayerTime) -> set[str]:
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


def attribute(found: LayerProfile, graph: Graph, depth: int | None = None) -> tuple[PartRow, ...]:
    """The layers' times by part."""
    layers = []
    for layer in found.layers:
        owners = {group_of(module, depth) for module in graph.owners_of(layer)}
        owner = FUSED if len(owners) > 1 else next(iter(owners), UNATTRIBUTED)
        layers.append((owner, layer.milliseconds))
    groups = dict.fromkeys(group_of(module, depth) for module in graph.modules)
    flops: defaultdict[str, float] = defaultdict(float)
    for module, count in graph.flops().items():
        flops[group_of(module, depth)] += count
    return make_rows(layers, flops, groups, call=found.milliseconds)


def group_of(module: str, depth: int | None = None) -> str:
    """The part of the network that a module belongs to, or the first words of its name."""
    return ".".join(part_of(module).split(".")[:depth]) or NETWORK


def make_rows(
    layers: Iterable[tuple[str, float]],
    flops: Mapping[str, float],
    order: Iterable[str],
    *,
    call: float,
) -> tuple[PartRow, ...]:
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
        PartRow(
            part=name,
            milliseconds=(taken := left if name == BETWEEN else sum(spent[name])),
            share=taken / call,
            flops=flops.get(name, 0.0),
            flops_share=flops.get(name, 0.0) / total if total else 0.0,
            layers=len(spent[name]),
        )
        for name in (*names, FUSED, UNATTRIBUTED, BETWEEN)
    )
