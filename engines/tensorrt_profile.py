"""Layer times of a plan, by TensorRT's profiler. Tested against stand-ins, not yet on hardware."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.layer_times import LayerProfile, LayerTime, repeat
from engines.runtime import Array
from engines.tensorrt_engine import TensorRTEngine
from engines.tensorrt_layers import LAYERS_FILE, onnx_names

JOINT = " + "
"""What TensorRT puts between the names of nodes it made one layer of."""


def profile_plan(
    engine: TensorRTEngine, inputs: Mapping[str, Array], *, folder: Path, seconds: float
) -> LayerProfile:
    """Run an engine for so many seconds with its layers timed, CUDA graphs off.

    Args:
        engine: opened, not yet run.
        folder: of the engine; the layer table that the build left there says which nodes a layer
            stands for. Without it the layer's name has to.
    """
    spent: defaultdict[str, float] = defaultdict(float)

    def note(layer: str, milliseconds: float) -> None:
        spent[layer] += milliseconds

    calls: list[dict[str, float]] = []

    def call() -> None:
        spent.clear()
        engine.infer(inputs)
        calls.append(dict(spent))

    engine.graphs = False  # a replayed graph reports nothing
    engine.time_layers(note)
    taken = repeat(call, seconds)
    nodes = _nodes(folder / LAYERS_FILE)
    counted = calls[-len(taken) :]
    names = dict.fromkeys(name for call in counted for name in call)
    return LayerProfile(
        layers=tuple(
            LayerTime(
                name=name,
                kind="",
                nodes=nodes.get(name, tuple(name.split(JOINT))),
                milliseconds=sum(call.get(name, 0.0) for call in counted) / len(taken),
            )
            for name in names
        ),
        calls=len(taken),
        milliseconds=float(np.mean(taken)),
    )


def _nodes(table: Path) -> dict[str, tuple[str, ...]]:
    """Layers by name to the graph's nodes they stand for; empty without a table."""
    if not table.exists():
        return {}
    layers = json.loads(table.read_text())["Layers"]
    return {
        str(layer["Name"]): tuple(names)
        for layer in layers
        if isinstance(layer, Mapping) and (names := onnx_names(layer))
    }
