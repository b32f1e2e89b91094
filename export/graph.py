"""From the deployed form to an ONNX graph: traced once in float32, named by module, reproducible.

A node is called MODULE/OPERATOR, so that recipes, profilers and error messages speak of modules.
"""

import ast
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes

from export.deployed import Deployed
from export.modules import module_of
from trans3dhead.network.model import Trans3DHead

OPSET = 18
"""What torch's exporter translates to without a conversion. TensorRT 10.4 parses up to 20."""
MAX_OPSET, MAX_IR = 20, 10
"""The newest that TensorRT 10.4 parses; ONNX Runtime 1.20, its companion, reads both."""
TRACED_BATCH = 2
"""A graph traced at batch 1 keeps the 1 (pytorch issue 151582)."""
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter writes the modules around a node, and last the node's own name."""


def trace(deployed: Deployed, *, size: int, batch: int | None) -> ir.Model:
    """The float32 graph.

    Args:
        deployed: what to trace.
        size: side of the square crop, pixels.
        batch: a fixed batch size; None leaves it open.
    """
    image = torch.zeros(batch or TRACED_BATCH, size, size, 3, dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        outputs = list(deployed(image))
        program = torch.onnx.export(
            deployed,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=outputs,
            dynamic_shapes=None if batch else ({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    assert program is not None
    model = program.model
    _name_nodes(model.graph)
    tidy(model)
    return model


def trace_plain(network: Trans3DHead, *, size: int, batch: int | None) -> ir.Model:
    """What torch makes of the trained network as it is: the graph to compare the deployed one with.

    Args:
        network: in evaluation mode.
        size, batch: as in `trace`; its input is the normalised crop [batch, 3, size, size] float32.
    """
    image = torch.zeros(batch or TRACED_BATCH, 3, size, size)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(network(image)),
            dynamic_shapes=None if batch else ({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    assert program is not None
    return program.model


def tidy(model: ir.Model) -> None:
    """Drop what nothing uses, and what would make equal graphs differ: paths, traces, notes."""
    for step in (
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
    ):
        step(model)
    graph = model.graph
    graph.name = "trans3dhead"
    made = [value for node in graph for value in node.outputs]
    for value in (*graph.inputs, *graph.initializers.values(), *made):
        value.metadata_props.clear()  # the pass looks at nodes alone


def module_paths(deployed: Deployed) -> list[str]:
    """Paths of the modules that recipes may name; a BatchNorm that was folded away is none."""
    return [
        path
        for path, module in deployed.named_modules()
        if path and not isinstance(module, torch.nn.Identity)
    ]


def node_counts(model: ir.Model) -> dict[str, int]:
    """Nodes of the graph by kind."""
    return dict(Counter(node.op_type for node in model.graph))


def _name_nodes(graph: ir.Graph) -> None:
    """Name nodes MODULE/OPERATOR, numbered from the second of a kind, and results like nodes."""
    used: Counter[str] = Counter()
    kept = {value.name for value in (*graph.inputs, *graph.outputs)}
    for node in graph:
        name = f"{_traced_module(node)}/{node.op_type}"
        used[name] += 1
        node.name = name if used[name] == 1 else f"{name}_{used[name]}"
        for index, value in enumerate(node.outputs):
            if value.name not in kept:
                value.name = node.name if index == 0 else f"{node.name}:{index}"


def _traced_module(node: ir.Node) -> str:
    """The module torch recorded; a node that an optimiser made belongs to its producer's."""
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    if len(scopes) > 1:
        return str(scopes[-2])
    producers = [value.producer() for value in node.inputs if value is not None]
    return next((module_of(producer) for producer in producers if producer is not None), "")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch says of packages and classes that have nothing to do with this network."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "torchvision is not installed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own use of its LeafSpec
            yield
    finally:
        logger.setLevel(level)
