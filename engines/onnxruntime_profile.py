"""Layer times of a session of ONNX Runtime, from the profile it writes.

On the CPU a node's event lasts as long as its kernel. A GPU's provider only launches kernels within
that event; what they take then stands in events of their own, which a build without CUPTI lacks.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.contract import Contract
from engines.errors import UserError
from engines.layer_times import LayerProfile, LayerTime, repeat
from engines.onnxruntime_session import Array, Event, node_name, run_into

RUN, NODE, KERNEL = "model_run", "Node", "Kernel"
"""The event of a whole run, by name; those of nodes and of a GPU's kernels, by category."""
FUSED = "fused "
"""What ONNX Runtime puts before the name of a product that took its activation in."""
MICRO = 1e-3
"""Events are in microseconds."""


def profile_session(
    make: Callable[[Path], Any],
    inputs: Mapping[str, Array],
    contract: Contract,
    *,
    seconds: float,
    on_gpu: bool,
) -> LayerProfile:
    """Run a session for so many seconds and read its profile.

    Args:
        make: makes the session, recording under a path.
        inputs: of a call, checked.
        on_gpu: whether a GPU's provider computes.

    Raises:
        UserError: its kernels were not recorded.
    """
    batch = len(next(iter(inputs.values())))
    out = {spec.name: np.empty(spec.shape(batch), spec.dtype) for spec in contract.outputs}
    with tempfile.TemporaryDirectory() as folder:
        session = make(Path(folder) / "layers")
        taken = repeat(lambda: run_into(session, inputs, out), seconds)
        events: list[Event] = json.loads(Path(session.end_profiling()).read_text())
    return LayerProfile(
        layers=read_layers(events, calls=len(taken), on_gpu=on_gpu),
        calls=len(taken),
        milliseconds=float(np.mean(taken)),
    )


def read_layers(events: Sequence[Event], *, calls: int, on_gpu: bool) -> tuple[LayerTime, ...]:
    """Mean times of the last `calls` runs of a profile, in the order they first ran.

    Raises:
        UserError: of a GPU's kernels nothing was recorded.
    """
    began = sorted(event["ts"] for event in events if event["name"] == RUN)[-calls]
    category = KERNEL if on_gpu else NODE
    spent: defaultdict[tuple[str, str], float] = defaultdict(float)
    for event in sorted(events, key=lambda event: float(event["ts"])):
        if event["cat"] == category and event["ts"] >= began:
            arguments = event["args"]
            source = arguments.get("parent_name", "") if on_gpu else event["name"]
            key = node_name(source), arguments.get("op_name", "")
            spent[key] += event["dur"] * MICRO
    if on_gpu and not spent:
        raise UserError(
            "this ONNX Runtime records when a GPU's kernels are launched, not how long they take; "
            "expected a build with CUPTI; look at the kernels with Nsight Systems instead"
        )
    return tuple(
        LayerTime(
            name=name, kind=kind, nodes=(name.removeprefix(FUSED),), milliseconds=total / calls
        )
        for (name, kind), total in spent.items()
    )
