"""What the machine can do at most: matrix products in each precision, and a large copy.

Every library that is here is asked, over several sizes; the best is timed among the rows
(`roofline.Ceiling`). Libraries differ by more than a factor of two, so one of them alone would set
a ceiling that another row passes.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.throughput.measure import NANO, Row, calls_within, visit_alone
from benchmarks.throughput.roofline import COPY, Contender
from engines.machine import instruction_sets

Product = Callable[[], object]
"""One square matrix product."""

SIZES = (512, 1024, 2048)
"""Sides of the square matrices."""
GPU_SIZES = (4096, 8192)
COPY_BYTES = 1 << 28
"""Far above any cache."""
SECONDS = 0.25
"""Of a visit to a library and size."""
VISITS = 4
"""To each."""
FLOAT32, TF32, BFLOAT16, FLOAT16, INT8 = "float32", "tf32", "bfloat16", "float16", "int8"


def find_ceilings(rows: Sequence[Row], threads: int | None) -> list[Contender]:
    """The fastest product here of each kind that the rows compute, and a copy for each device.

    Args:
        rows: to be held against them; those whose work is not known need none.
        threads: of the CPU; each library's own choice where None.
    """
    needed = {
        (row.work.device, kind) for row in rows if row.work is not None for kind in row.work.flops
    }
    tried = [
        Contender(
            kind=kind,
            by=f"{library}, {size}",
            device=device,
            operations=2.0 * size**3,
            call=make(size),
        )
        for device, library, kind, sizes, make in _libraries(threads)
        if (device, kind) in needed
        for size in sizes
    ]
    for device in {contender.device for contender in tried}:
        tried += [_gpu_copy()] if device == "gpu" else _copies(threads)
    best: dict[tuple[str, str], tuple[float, Contender]] = {}
    for contender, rate in zip(tried, _rates(tried), strict=True):
        key = contender.device, contender.kind
        if key not in best or rate > best[key][0]:
            best[key] = rate, contender
    return [found for _, found in best.values()]


def _rates(tried: Sequence[Contender]) -> list[float]:
    """Operations a second of each over several visits in turn, as rows are timed.

    A mean, for a mean is what the chosen one is then held to: the fastest call of all would favour
    small products, which a short good moment is enough for.
    """
    taken: list[list[int]] = [[] for _ in tried]
    for _ in range(VISITS):
        for contender, durations in zip(tried, taken, strict=True):
            first = visit_alone(contender.call, time.perf_counter_ns, 2)[1:]
            calls = calls_within(SECONDS, durations or first)
            durations.extend(visit_alone(contender.call, time.perf_counter_ns, calls))
    return [
        contender.operations * len(durations) / (sum(durations) * NANO)
        for contender, durations in zip(tried, taken, strict=True)
    ]


Library = tuple[str, str, str, tuple[int, ...], Callable[[int], Product]]
"""Device, name, precision, sizes to try, and how to make a product of a size."""


def _libraries(threads: int | None) -> Iterator[Library]:
    """Those that are here."""
    if find_spec("onnxruntime"):
        for kind in (FLOAT32, INT8):
            make = partial(_onnxruntime, kind=kind, threads=threads)
            yield "cpu", "ONNX Runtime", kind, SIZES, make
    if find_spec("openvino"):
        import openvino

        able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for kind, word in ((FLOAT32, "FP32"), (BFLOAT16, "BF16"), (INT8, "INT8")):
            if word in able:
                yield "cpu", "OpenVINO", kind, SIZES, partial(_openvino, kind=kind, threads=threads)
    if find_spec("torch"):
        import torch

        # without instructions for it PyTorch computes bfloat16 one by one
        able = {"avx512_bf16", "amx_bf16"}.intersection(instruction_sets())
        for kind in (FLOAT32, BFLOAT16) if able else (FLOAT32,):
            yield "cpu", "PyTorch", kind, SIZES, partial(_torch, kind=kind, threads=threads)
        if torch.cuda.is_available():
            for kind in (FLOAT32, TF32, FLOAT16, BFLOAT16):
                yield "gpu", "cuBLAS", kind, GPU_SIZES, partial(_cublas, kind=kind)


def _onnxruntime(size: int, kind: str, threads: int | None) -> Product:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from engines.onnxruntime_session import create_session

    if kind == INT8:
        operator, left, right = "MatMulInteger", _whole(size, np.uint8), _whole(size, np.int8)
        given, made = TensorProto.UINT8, TensorProto.INT32
    else:
        operator, left, right = "MatMul", _square(size), _square(size)
        given = made = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", given, [size, size])],
        [helper.make_tensor_value_info("y", made, [size, size])],
        [numpy_helper.from_array(right, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    session = create_session(model.SerializeToString(), "cpu", threads)
    inputs = {"x": left}
    return lambda: session.run(None, inputs)


def _openvino(size: int, kind: str, threads: int | None) -> Product:
    import openvino
    from openvino import opset13 as ops

    x = ops.parameter([size, size], np.float32)
    left, right = x, ops.constant(_square(size))
    if kind == INT8:  # as a quantised graph says it; rounding the input is part of the product
        low, high = ops.constant(np.float32(0)), ops.constant(np.float32(1))
        left = ops.fake_quantize(x, low, high, low, high, 256)
        whole = ops.convert(ops.constant(_whole(size, np.int8)), np.float32)
        right = ops.multiply(whole, ops.constant(np.full((1, size), 0.01, np.float32)))
    model = openvino.Model([ops.matmul(left, right, False, False)], [x], "p")
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if kind == BFLOAT16 else "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(_square(size)))
    return request.infer


def _torch(size: int, kind: str, threads: int | None) -> Product:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    left, right = _noise(size, getattr(torch, kind), "cpu")
    out = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=out)


def _cublas(size: int, kind: str) -> Product:
    import torch

    left, right = _noise(size, getattr(torch, FLOAT32 if kind == TF32 else kind), "cuda")
    out = torch.empty_like(left)

    def product() -> None:
        # of the process, and every row of a checkpoint sets it
        torch.backends.cuda.matmul.allow_tf32 = kind == TF32
        torch.mm(left, right, out=out)
        torch.cuda.synchronize()

    return product


def _noise(size: int, dtype: Any, device: str) -> tuple[Any, Any]:
    """Two squares: products of ones draw less power, and run faster than any real one."""
    import torch

    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    return left, right


def _square(size: int) -> np.ndarray:
    return np.random.default_rng(0).random((size, size), dtype=np.float32)


def _whole(size: int, dtype: type[np.integer[Any]]) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(0).integers(limits.min, limits.max, (size, size), dtype)


def _copies(threads: int | None) -> list[Contender]:
    """Of host memory, by one thread and by as many as there are: one may not fill a socket's
    channels."""
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    most = threads or len(os.sched_getaffinity(0))

    def copier(parts: int) -> Contender:
        pieces = list(
            zip(np.array_split(target, parts), np.array_split(source, parts), strict=True)
        )
        pool = ThreadPoolExecutor(parts)  # numpy copies without holding the interpreter
        return Contender(
            kind=COPY,
            by=f"numpy, {COPY_BYTES >> 20} MiB, threads: {parts}",
            device="cpu",
            operations=2.0 * COPY_BYTES,
            call=lambda: list(pool.map(np.copyto, *zip(*pieces, strict=True))),
        )

    return [copier(parts) for parts in sorted({1, most})]


def _gpu_copy() -> Contender:
    """Within the GPU's own memory."""
    import torch

    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    return Contender(
        kind=COPY,
        by=f"CUDA, {COPY_BYTES >> 20} MiB",
        device="gpu",
        operations=2.0 * COPY_BYTES,
        call=copy,
    )
