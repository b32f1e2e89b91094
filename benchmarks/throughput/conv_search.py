"""Which kernels ONNX Runtime's CUDA provider convolves with, by how they are searched for.

`python -m benchmarks.throughput.conv_search GRAPH.onnx OUT.json [BATCH ...]` times a graph on the
GPU's memory under both searches and both layouts, CUDA graphs on, and lists the kernels that take
longest, as torch's profiler sees them.
"""

import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch.profiler import ProfilerActivity, profile

from engines.files import write_whole
from engines.machine import this_machine

BATCHES = (1, 16, 64)
WARM, CALLS, PROFILED = 4, 20, 3
"""Calls before the clock, under it (their median counts), and under the profiler."""
LISTED = 14
"""Kernels listed, those that take longest."""


def measure(graph: Path, batch: int, search: str, nhwc: bool) -> dict[str, Any]:
    """Milliseconds of a call, and the kernels of one, with inputs and outputs on the GPU."""
    options = {
        "use_tf32": "0",
        "enable_cuda_graph": "1",
        "cudnn_conv_algo_search": search,
        "prefer_nhwc": str(int(nhwc)),
    }
    session = onnxruntime.InferenceSession(
        str(graph), providers=[("CUDAExecutionProvider", options), "CPUExecutionProvider"]
    )
    binding, kept = session.io_binding(), []
    described = onnx.load(graph, load_external_data=False).graph
    for bind, values in (
        (binding.bind_input, described.input),
        (binding.bind_output, described.output),
    ):
        for value in values:
            kind = value.type.tensor_type
            shape = [batch, *(size.dim_value for size in kind.shape.dim[1:])]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            tensor = torch.zeros(shape, dtype=getattr(torch, dtype.name), device="cuda")
            bind(value.name, "cuda", 0, dtype.type, shape, tensor.data_ptr())
            kept.append(tensor)
    torch.cuda.synchronize()

    def call() -> float:
        began = time.perf_counter()
        session.run_with_iobinding(binding)
        torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - began)

    for _ in range(WARM):
        call()
    median = float(np.median([call() for _ in range(CALLS)]))
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(PROFILED):
            call()
    events = sorted(recorded.key_averages(), key=lambda event: -event.device_time_total)
    kernels = [
        {
            "name": event.key,
            "calls": event.count // PROFILED,
            "milliseconds": event.device_time_total / 1000 / PROFILED,
        }
        for event in events[:LISTED]
    ]
    setting = {"search": search, "nhwc": nhwc, "batch": batch}
    return {**setting, "milliseconds": median, "kernels": kernels}


def main(words: list[str]) -> None:
    """Write OUT.json."""
    graph, out, *batches = words
    rows = []
    for search, nhwc, batch in product(
        ("EXHAUSTIVE", "HEURISTIC"), (True, False), [int(word) for word in batches] or BATCHES
    ):
        rows.append(measure(Path(graph), batch, search, nhwc))
        print({key: value for key, value in rows[-1].items() if key != "kernels"}, flush=True)
    versions = {name: version(name) for name in ("onnxruntime-gpu", "torch")}
    found = {"machine": asdict(this_machine()), "versions": versions, "rows": rows}
    write_whole(Path(out), json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
