"""Sessions of ONNX Runtime: the provider that was asked for, its options, and what it really took.

The TensorRT provider types its network as the graph says as long as its own fp16 and int8 options
stay off (onnxruntime pull request 18707), so they do. It builds at session creation where every
profile is given, and in mid-service where one is not (issue 16889), so one always is.
"""

import ctypes
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from engines.contract import Contract, RecipeEntry
from engines.errors import BuildError, UserError, one_line
from engines.machine import Machine
from engines.manifest import BatchProfile
from engines.steps import COPY_IN, INFERENCE, Mark

PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Our name to ONNX Runtime's, the one asked for first; the others take what it leaves."""

LIBRARIES = {
    "cuda": "libonnxruntime_providers_cuda.so",
    "tensorrt": "libonnxruntime_providers_tensorrt.so",
}
"""Library of a provider, beside ONNX Runtime's own."""

PRODUCT_MARKS = ("Conv", "MatMul", "Gemm", "Attention")
"""One of them is in the name of every operator that ONNX Runtime computes products with."""

INT8_OPERATOR = re.compile("QLinear|QGemm|QAttention|.*Integer")
"""Operators that ONNX Runtime computes products of integers with: QLinearConv, ConvInteger, ..."""

TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
"""The only way to keep the TensorRT provider from TF32 (onnxruntime issue 26029)."""
FIRST_TF32 = 8
"""Major compute capability of the first GPUs with TF32."""

Array = npt.NDArray[Any]
ProviderOptions = dict[str, str]
Event = Mapping[str, Any]
"""A line of a session's profile."""


def import_onnxruntime() -> Any:
    """The module, or a UserError with the line that installs it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"ONNX Runtime is not installed ({error}); expected the module onnxruntime; "
            "install it with `pip install 'trans3dhead[cpu]'`"
        ) from None
    return onnxruntime


def require_provider(provider: str, machine: Machine) -> None:
    """A UserError where ONNX Runtime, as installed here, lacks a provider or would alter types."""
    if provider not in PROVIDERS:
        raise UserError(f"provider {provider!r} came; expected one of {', '.join(PROVIDERS)}")
    ort = import_onnxruntime()
    available = ort.get_available_providers()
    if PROVIDERS[provider][0] not in available:
        raise UserError(
            f"provider {provider} came; this ONNX Runtime has {', '.join(available)}; "
            "install the GPU build with `pip install 'trans3dhead[gpu]'`"
        )
    if provider in LIBRARIES:
        _load_library(provider, Path(ort.__file__).parent / "capi" / LIBRARIES[provider])
    major = int((machine.compute_capability or "0").split(".")[0])
    if provider == "tensorrt" and major >= FIRST_TF32 and os.environ.get(TF32_SWITCH) != "0":
        raise UserError(
            f"provider tensorrt came; on {machine.gpu} it computes float32 in TF32, 10 bits of "
            f"mantissa; expected float32 kept; start with `{TF32_SWITCH}=0` in the environment"
        )


def _load_library(provider: str, path: Path) -> None:
    """Load a provider's library: ONNX Runtime itself logs what is missing, and does without it."""
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        raise UserError(
            f"provider {provider} came; its library does not load here ({one_line(error)}); "
            "expected CUDA, cuDNN and TensorRT of the release that ONNX Runtime was built with; "
            "`trans3dhead doctor` names what is missing"
        ) from None


def tensorrt_options(
    contract: Contract, profiles: tuple[BatchProfile, ...], cache: Path
) -> ProviderOptions:
    """What the TensorRT provider needs so that it never builds in mid-service.

    Args:
        contract: of the bundle; its inputs' shapes go into the profile.
        profiles: the engine's; the provider always takes the first, so there must be one only.
        cache: folder of the built engine.
    """
    options = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}
    if contract.batch is None:
        (profile,) = profiles
        for size, batch in (("min", profile.min), ("opt", profile.opt), ("max", profile.max)):
            options[f"trt_profile_{size}_shapes"] = ",".join(
                f"{spec.name}:{'x'.join(map(str, spec.shape(batch)))}" for spec in contract.inputs
            )
    return options


def cuda_options(contract: Contract, recipe: RecipeEntry) -> ProviderOptions:
    """What the CUDA provider needs to convolve well.

    Halves are convolved with the channels last, where tensor cores do it. Of several images cuDNN
    chooses the algorithm itself: ONNX Runtime's default, to try them all once, took some without
    tensor cores (an H100, 16 images: 13.0 ms in place of 3.3, docs/throughput.md). Of one image
    that default was the fast one measured, and stays.
    """
    return {
        "prefer_nhwc": str(int(recipe.precision != "float32")),
        "cudnn_conv_algo_search": "EXHAUSTIVE" if contract.batch == 1 else "HEURISTIC",
    }


def create_session(
    graph: Path | bytes,
    provider: str,
    threads: int | None = None,
    *,
    tensorrt: ProviderOptions | None = None,
    cuda: ProviderOptions | None = None,
    graphs: bool = False,
    profile: Path | None = None,
) -> Any:
    """A session whose provider is the one asked for, or a UserError.

    Args:
        graph: the ONNX file, or its bytes.
        provider: a key of `PROVIDERS`.
        threads: threads within an operator; ONNX Runtime takes all cores where None.
        tensorrt, cuda: options of those providers (`tensorrt_options`, `cuda_options`).
        graphs: the CUDA provider shall replay CUDA graphs, of runs whose addresses stay.
        profile: where `end_profiling` writes what ran where; nothing is recorded where None.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # fatal ones: errors come back as exceptions, but for cuDNN's tries that another one replaces
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    given = {
        "TensorrtExecutionProvider": tensorrt or {},
        "CUDAExecutionProvider": {
            "use_tf32": "0",  # float32 means float32
            "enable_cuda_graph": str(int(graphs)),
            **(cuda or {}),
        },
    }
    session = ort.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph),
        options,
        providers=[(name, given.get(name, {})) for name in PROVIDERS[provider]],
        enable_fallback=False,  # it would take another provider, and print so
    )
    session.disable_fallback()
    used = session.get_providers()[0]
    if used != PROVIDERS[provider][0]:
        raise UserError(
            f"provider {provider} was asked for, ONNX Runtime took {used}; expected no change; "
            "mend the GPU libraries (`trans3dhead doctor`), or build with `--provider cpu`"
        )
    return session


def run_session(session: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All outputs of a session by name, in new arrays."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def run_into(
    session: Any, inputs: Mapping[str, Array], out: Mapping[str, Array], mark: Mark | None = None
) -> None:
    """Run on bound memory: inputs are read and outputs written where they lie, on the host."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for name, array in out.items():
        binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    if mark is not None:
        mark(COPY_IN)
    session.run_with_iobinding(binding)
    if mark is not None:
        mark(INFERENCE)


def check_placement(
    graph: Path,
    provider: str,
    contract: Contract,
    batch: int,
    *,
    tensorrt: ProviderOptions | None,
    cuda: ProviderOptions,
) -> list[Event]:
    """Run once and refuse a graph whose products the provider leaves to another one.

    Returns:
        What the run's profile tells of each operator.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = create_session(
            graph, provider, tensorrt=tensorrt, cuda=cuda, profile=Path(folder) / "placement"
        )
        contract.check_outputs(run_session(session, contract.blank_inputs(batch)), batch)
        events: list[Event] = json.loads(Path(session.end_profiling()).read_text())
    foreign = foreign_products(events, PROVIDERS[provider][0])
    if foreign:
        raise BuildError(
            f"provider {provider} came; ONNX Runtime left it out of {len(foreign)} products "
            f"({', '.join(foreign[:3])}); expected all of them there; "
            "build with another provider or another runtime"
        )
    return events


def foreign_products(events: Iterable[Event], wanted: str) -> list[str]:
    """Products that ran on another provider, as "NAME on PROVIDER", from a session's profile."""
    foreign = {}
    for event in events:
        arguments = event.get("args", {})
        used, operator = arguments.get("provider"), arguments.get("op_name", "")
        if used not in (None, wanted) and any(mark in operator for mark in PRODUCT_MARKS):
            foreign[node_name(event["name"])] = used
    return [f"{name} on {used}" for name, used in foreign.items()]


def int8_products(events: Iterable[Event]) -> set[str]:
    """Names of the graph's products that ran as products of integers, from a session's profile."""
    return {
        node_name(event["name"])
        for event in events
        if INT8_OPERATOR.match(event.get("args", {}).get("op_name", ""))
    }


def node_name(event: str) -> str:
    """The graph's node, of an event's name; one whose layout was changed has a tail behind it."""
    return re.sub(r"(_nchwc|_token_\d+)$", "", event.rpartition("_kernel")[0])
