"""Layer times of a compiled model of OpenVINO, by its own counters."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engines.layer_times import WARM_CALLS, LayerProfile, LayerTime, repeat
from engines.runtime import Array

ORIGINAL = "originalLayersNames"
"""Fact of a compiled layer: the graph's nodes that it became of, by commas."""


def profile_compiled(compiled: Any, inputs: Mapping[str, Array], *, seconds: float) -> LayerProfile:
    """Run a model that was compiled with its counters on for so many seconds."""
    request = compiled.create_infer_request()
    for _ in range(WARM_CALLS):
        request.infer(dict(inputs))
    # a counter holds the mean of all calls so far, those to warm up among them
    before = _totals(request, WARM_CALLS)
    taken = repeat(lambda: request.infer(dict(inputs)), seconds, warm=0)
    spent = _totals(request, WARM_CALLS + len(taken))
    nodes = {
        layer.get_friendly_name(): tuple(original_names(layer))
        for layer in compiled.get_runtime_model().get_ordered_ops()
    }
    return LayerProfile(
        layers=tuple(
            LayerTime(
                name=name,
                kind=kind,
                nodes=nodes.get(name, ()),
                # what took no whole microsecond while warming up is not listed before
                milliseconds=max(0.0, total - before.get((name, kind), 0.0)) / len(taken),
            )
            for (name, kind), total in spent.items()
        ),
        calls=len(taken),
        milliseconds=float(np.mean(taken)),
    )


def _totals(request: Any, calls: int) -> dict[tuple[str, str], float]:
    """Milliseconds of so many calls together, by the name and kind of each layer that runs, and
    takes a microsecond or more."""
    return {
        (layer.node_name, layer.node_type): 1000 * layer.real_time.total_seconds() * calls
        for layer in request.get_profiling_info()
        if layer.status == layer.Status.EXECUTED
    }


def original_names(layer: Any) -> list[str]:
    """The graph's nodes that a layer of a compiled model became of."""
    facts = layer.get_rt_info()
    names = facts[ORIGINAL].astype(str) if ORIGINAL in facts else ""
    return [name for name in names.split(",") if name]
