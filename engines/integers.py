"""A quantised graph as the processor of this machine computes it best: same ranges, finer steps.

A bundle's graph is symmetric, as TensorRT wants it: int8 around zero. What a ReLU gives is never
below zero, so half of those integers stand idle there. On a CPU such values become uint8: of half
the step, where the processor adds products of bytes exactly, else of the same. x86 without VNNI
adds them in pairs into 16 bits, which two products of 255 and 127 overflow and two of 127 do not.
ONNX Runtime besides takes a ReLU into a convolution of integers only before uint8.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import ContractError
from engines.machine import instruction_sets
from engines.manifest import Manifest
from engines.precision import DEQUANTIZE, PRODUCTS

if TYPE_CHECKING:
    import onnx

QUANTIZE = "QuantizeLinear"
SCALE, ZERO = 1, 2
"""Inputs of QuantizeLinear and DequantizeLinear."""
EXACT = ("avx512_vnni", "avx_vnni", "amx_int8")
"""Instruction sets of x86 that add products of bytes in 32 bits."""
INEXACT = "avx2"
"""What x86 adds them with otherwise."""
BITS = "unsigned_bits"
"""Setting of an engine: how many bits hold a value that is never below zero, 8 or 7."""


def unsigned_bits() -> int:
    """8 where this processor adds products of bytes exactly, else 7."""
    found = set(instruction_sets())
    return 7 if INEXACT in found and not found.intersection(EXACT) else 8


def with_unsigned_values(model: "onnx.ModelProto", bits: int) -> "onnx.ModelProto":
    """The graph with uint8 in the place of int8 for what is never below zero.

    Args:
        model: symmetric, its values quantised with one scale each.
        bits: 8 halves the step, 7 keeps it.
    """
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    constants = {item.name: item for item in graph.initializer}
    never_below = _never_below_zero(changed)
    pairs = {node.output[0]: node for node in graph.node if node.op_type == QUANTIZE}
    for node in graph.node:
        if node.op_type not in (QUANTIZE, DEQUANTIZE):
            continue
        source = pairs.get(node.input[0], node).input[0]
        if source not in never_below:
            continue
        scale = onnx.numpy_helper.to_array(constants[node.input[SCALE]])
        name = f"{source}/unsigned"
        if f"{name}:scale" not in constants:
            for tensor in (
                onnx.numpy_helper.from_array(scale / 2 ** (bits - 7), f"{name}:scale"),
                onnx.numpy_helper.from_array(np.array(0, np.uint8), f"{name}:zero"),
            ):
                constants[tensor.name] = tensor
                graph.initializer.append(tensor)
        node.input[SCALE], node.input[ZERO] = f"{name}:scale", f"{name}:zero"
    del graph.value_info[:]  # it names the old types; runtimes infer their own
    _drop_idle_constants(graph)
    return changed


def without_idle_pairs(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The graph without roundings that no product asked for: OpenVINO computes integers without."""
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    wanted = {name for node in graph.node if node.op_type in PRODUCTS for name in node.input}
    made = {node.output[0]: node for node in graph.node if node.op_type == QUANTIZE}
    idle = {
        node.output[0]: made[node.input[0]].input[0]
        for node in graph.node
        if node.op_type == DEQUANTIZE and node.input[0] in made and node.output[0] not in wanted
    }
    kept = [node for node in graph.node if node.output[0] not in idle]
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = idle.get(name, name)
    used = {name for node in kept for name in node.input}
    kept = [node for node in kept if node.op_type != QUANTIZE or node.output[0] in used]
    del graph.node[:]
    graph.node.extend(kept)
    _drop_idle_constants(graph)
    return changed


def check_bits(manifest: Manifest, bundle: Path) -> None:
    """Refuse an engine whose steps are finer than this processor adds them exactly."""
    if manifest.settings.get(BITS, 7) > unsigned_bits():
        raise ContractError(
            f"engine {manifest.name} holds values in 8 bits, from {manifest.machine.cpu}; expected "
            "7 on this processor, which has no VNNI and would overflow; "
            f"rebuild: `{manifest.build_command(bundle)}`"
        )


def _drop_idle_constants(graph: "onnx.GraphProto") -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [item for item in graph.initializer if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _never_below_zero(model: "onnx.ModelProto") -> set[str]:
    """Names of what a ReLU gives, through operators that only choose among values."""
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Relu" or (node.op_type == "MaxPool" and node.input[0] in found):
            found.add(node.output[0])
    return found
