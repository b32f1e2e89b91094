"""OpenVINO on a CPU: one precision throughout, whatever types the graph has.

A graph's types are only how its weights are stored. What is computed is the plugin's precision
hint, and where the processor lacks it float32, without a word: asked for bf16 on a CPU with AVX2
alone, the hint reads back as float32. Hence the hint is always given, read back, and compared with
the precision of every product in the compiled model.
"""

import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.contract import RecipeEntry
from engines.errors import BuildError, ContractError, UserError, one_line
from engines.integers import (
    BITS,
    check_bits,
    unsigned_bits,
    with_unsigned_values,
    without_idle_pairs,
)
from engines.layer_times import LayerProfile
from engines.machine import this_machine
from engines.manifest import Manifest
from engines.openvino_profile import original_names, profile_compiled
from engines.options import BuildOptions
from engines.precision import DEQUANTIZE, Effective, check_promise, onnx_products
from engines.runtime import Array, BuildOrder, BuiltFile, Engine, Progress, Runtime
from engines.steps import COPY_IN, INFERENCE, Mark

if TYPE_CHECKING:
    import onnx

IR_FILE = "model.xml"
"""OpenVINO's form of the graph; its weights lie beside it."""
WEIGHTS_FILE = "model.bin"
CACHE_FILE = "compiled.blob"
"""The compiled model without its weights: opens in half the time, on the CPU it was made on."""

DEVICE = "CPU"
HINTS = {"latency": "LATENCY", "throughput": "THROUGHPUT"}
NUMPY_NAMES = {"f32": "float32", "bf16": "bfloat16"}
INTEGERS = frozenset(("i8", "u8"))
BF16_CAPABILITY = "BF16"
DEQUANTIZED = "/DequantizationMultiply"
"""What OpenVINO's low-precision passes put behind a product's name."""


def runtime(name: str) -> Runtime:
    """The runtime of this module."""
    return OpenVino(name)


class OpenVino(Runtime):
    """Builds and opens engines of OpenVINO."""

    options = frozenset({"mode"})

    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        return str(_import().__version__)

    def bound_to_gpu(self, provider: str) -> bool:
        return False

    def settle(
        self, recipe: str, entry: RecipeEntry, options: BuildOptions
    ) -> tuple[str, dict[str, Any]]:
        precision = choose_precision(recipe, entry, _import().Core())
        settings: dict[str, Any] = {"mode": options.mode or "latency", "precision": precision}
        if DEQUANTIZE in entry.node_counts:
            settings[BITS] = unsigned_bits()
        return self.name, settings

    def build(self, order: BuildOrder, folder: Path, progress: Progress) -> BuiltFile:
        """Convert, compile what was written, look at what it computes, keep it compiled."""
        if order.settings["mode"] == "throughput" and order.contract.batch is not None:
            raise BuildError(
                f"--mode throughput came; it splits batches, and this graph is static, at batch "
                f"{order.contract.batch}; export with `--batch dynamic`, or leave --mode out"
            )
        import onnx

        openvino = _import()
        path = folder / IR_FILE
        progress("converting the graph", 0.0)
        try:
            model = openvino.Core().read_model(_graph_of(order))
        except RuntimeError as error:
            raise BuildError(
                f"OpenVINO cannot read {order.graph}: {one_line(error)}; "
                "build it with `--runtime onnxruntime`"
            ) from None
        try:
            # the default stores float32 weights in half
            openvino.save_model(model, path, compress_to_fp16=False)
        except RuntimeError as error:
            raise BuildError(
                f"OpenVINO cannot write into {folder.parent} ({one_line(error)}); "
                "expected room on the disk; free some space"
            ) from None
        progress("compiling", 0.3)
        try:
            compiled = _compile(path, order.settings, cache=None, threads=None, weightless=True)
        except RuntimeError as error:
            raise BuildError(f"OpenVINO refused the graph: {one_line(error)}") from None
        effective = read_effective(compiled, onnx.load(order.graph), order)
        (folder / CACHE_FILE).write_bytes(compiled.export_model().getvalue())
        progress("loading the engine", 0.8)
        cached = _compile(path, order.settings, cache=folder / CACHE_FILE, threads=None)
        batch = order.profiles[0].min
        answers = cached.create_infer_request().infer(order.contract.blank_inputs(batch))
        order.contract.check_outputs(
            {output.get_any_name(): array for output, array in answers.items()}, batch
        )
        progress("done", 1.0)
        return BuiltFile(name=IR_FILE, effective=effective)

    def open(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> Engine:
        check_bits(manifest, bundle.folder)
        return OpenVinoEngine(bundle, manifest, path, threads)

    def profile(
        self,
        bundle: Bundle,
        manifest: Manifest,
        path: Path,
        inputs: Mapping[str, Array],
        *,
        seconds: float,
        threads: int | None,
    ) -> LayerProfile:
        """By one request, whatever the mode: what several do at once would be told twice."""
        compiled = _compile(path, manifest.settings, cache=None, threads=threads, counting=True)
        return profile_compiled(compiled, inputs, seconds=seconds)


class OpenVinoEngine(Engine):
    """A compiled model with its requests: one in latency mode, one a stream in throughput mode."""

    def __init__(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> None:
        super().__init__(bundle, manifest)
        same_cpu = manifest.machine.cpu == this_machine().cpu
        try:
            self._compiled = _compile(
                path,
                manifest.settings,
                cache=path.with_name(CACHE_FILE) if same_cpu else None,
                threads=threads,
            )
            self._requests = [
                self._compiled.create_infer_request() for _ in range(_streams(self._compiled))
            ]
        except RuntimeError as error:
            raise ContractError(
                f"OpenVINO cannot load {path}: {one_line(error)}; "
                f"rebuild: `{manifest.build_command(bundle.folder)}`"
            ) from None

    def _run(self, inputs: dict[str, Array], out: dict[str, Array], mark: Mark | None) -> None:
        batch = len(next(iter(inputs.values())))
        parts = _parts(batch, len(self._requests))
        requests = self._requests[: len(parts)]
        # OpenVINO takes no memory that it could not write to, for inputs neither
        inputs = {name: np.require(array, requirements="W") for name, array in inputs.items()}
        failed: list[RuntimeError] = []
        try:
            for request, rows in zip(requests, parts, strict=True):
                _bind(request, inputs | out, rows)
            if mark is not None:
                mark(COPY_IN)
            for request in requests:
                request.start_async()
        except RuntimeError as error:
            failed.append(error)
        for request in requests:  # all of them: one that still runs writes into the arrays
            try:
                request.wait()
            except RuntimeError as error:
                failed.append(error)
        if failed:
            raise UserError(
                f"OpenVINO failed in engine {self.manifest.name}: {one_line(failed[0])}; "
                "expected an answer; open it anew, or build it anew with --force"
            )
        if mark is not None:
            mark(INFERENCE)
        for request, rows in zip(requests, parts, strict=True):
            _check_shapes(request, out, rows)

    def _release(self) -> None:
        del self._requests, self._compiled


def _graph_of(order: BuildOrder) -> Path | bytes:
    """The recipe's graph; a quantised one as it is computed best here."""
    if BITS not in order.settings:
        return order.graph
    import onnx

    model = with_unsigned_values(onnx.load(order.graph), order.settings[BITS])
    whole: bytes = without_idle_pairs(model).SerializeToString()
    return whole


def choose_precision(recipe: str, entry: RecipeEntry, core: Any) -> str:
    """The precision a recipe is computed in here, "f32" or "bf16"; beside int8 where quantised.

    Raises:
        UserError: half and mixed recipes, which OpenVINO has no way to keep; bf16 on a processor
            without it, where OpenVINO would compute float32 unasked.
    """
    capabilities = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    has_bf16 = BF16_CAPABILITY in capabilities
    if DEQUANTIZE in entry.node_counts:
        return "bf16" if has_bf16 else "f32"
    if entry.precision == "float32":
        return "f32"
    if recipe != "bf16" or entry.precision != "bfloat16":
        raise UserError(
            f"recipe {recipe} came; OpenVINO computes every graph in one precision; expected "
            "fp32, bf16 or an int8 recipe; build it with `--runtime onnxruntime`"
        )
    if not has_bf16:
        raise UserError(
            f"recipe bf16 came; this CPU ({core.get_property(DEVICE, 'FULL_DEVICE_NAME').strip()}) "
            f"has {', '.join(capabilities)}; expected one with AMX or AVX-512 BF16; build it "
            "there, or build recipe fp32"
        )
    return "bf16"


def read_effective(compiled: Any, model: "onnx.ModelProto", order: BuildOrder) -> Effective:
    """What the compiled model computes its products in; a BuildError where that was not asked for.

    The share is of the FLOPs of the ONNX graph's products, which the compiled model knows by name;
    the last node before an output has the output's name there, and a product of integers that
    takes its own scale in has a name with a tail.
    """
    wanted = order.settings["precision"]
    quantised = DEQUANTIZE in order.recipe.node_counts
    low = INTEGERS if quantised else frozenset((wanted,)) - {"f32"}
    layers = dict(_layer_precisions(compiled))
    results = {node.name: node.output[0] for node in model.graph.node}
    flops: Counter[str] = Counter()
    for product in onnx_products(model):
        names = product.name, f"{product.name}{DEQUANTIZED}", results[product.name]
        precision = next((layers[name] for name in names if name in layers), "nothing known")
        if precision not in low | {wanted}:
            raise BuildError(
                f"OpenVINO computes {product.name} in {precision}; expected {wanted} as asked; "
                "build with another runtime"
            )
        flops[precision] += product.flops
    found = sum(flops[precision] for precision in low) / max(1, flops.total())
    whole = wanted == "bf16" and not quantised  # what the graph keeps in float32 is lowered too
    promised = 1.0 if whole else order.recipe.low_flops_share
    kind = "int8" if quantised else "half"
    check_promise(found, promised, "OpenVINO's compiled model", kind)
    name = NUMPY_NAMES[wanted]
    return Effective(
        precision=f"int8 and {name}" if quantised else name,
        low_flops_promised=promised,
        low_flops_found=found,
    )


def _layer_precisions(compiled: Any) -> Iterator[tuple[str, str]]:
    """Names of the graph's nodes with the precision of the layer that each became part of."""
    for layer in compiled.get_runtime_model().get_ordered_ops():
        for name in original_names(layer):
            yield name, layer.get_rt_info()["runtimePrecision"].astype(str)


def _compile(
    path: Path,
    settings: Mapping[str, Any],
    *,
    cache: Path | None,
    threads: int | None,
    weightless: bool = False,
    counting: bool = False,
) -> Any:
    """The compiled model, from its cache where there is one; hint and threads are as asked.

    Args:
        weightless: its export shall leave the weights out.
        counting: it shall measure its layers.
    """
    config = _config(settings, threads)
    if counting:
        config["PERF_COUNT"] = True
    core = _import().Core()
    if cache is not None:
        weights = {"ENABLE_WEIGHTLESS": True, "WEIGHTS_PATH": str(path.with_name(WEIGHTS_FILE))}
        compiled = core.import_model(io.BytesIO(cache.read_bytes()), DEVICE, config | weights)
    else:
        if weightless:
            config["CACHE_MODE"] = "OPTIMIZE_SIZE"
        compiled = core.compile_model(path, DEVICE, config)
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if hint != settings["precision"]:
        raise UserError(
            f"precision {settings['precision']} was asked for, OpenVINO took {hint}; expected no "
            "change; this CPU lacks it: build recipe fp32"
        )
    taken = compiled.get_property("INFERENCE_NUM_THREADS")
    if threads is not None and taken != threads:
        raise UserError(
            f"threads {threads} came; OpenVINO took {taken}; expected at most the cores it may "
            "use here; ask for fewer"
        )
    return compiled


def _config(settings: Mapping[str, Any], threads: int | None) -> dict[str, Any]:
    """OpenVINO's own words for an engine's settings."""
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": settings["precision"],
        "PERFORMANCE_HINT": HINTS[settings["mode"]],
    }
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    return config


def compile_tapped(
    path: Path, settings: Mapping[str, Any], names: Sequence[str], threads: int | None
) -> tuple[Any, tuple[str, ...]]:
    """An engine's model with inner values for outputs, as `verify --walk` looks at them.

    Args:
        path: of the engine's file.
        settings: of its manifest.
        names: of the values; the model may have folded some away.
        threads: CPU threads; OpenVINO's own choice where None.

    Returns:
        The compiled model, and the names it has.
    """
    core = _import().Core()
    model = core.read_model(path)
    known = {name for node in model.get_ops() for port in node.outputs() for name in port.names}
    given = {name for port in model.outputs for name in port.names}
    found = tuple(name for name in names if name in known)
    model.add_outputs([name for name in found if name not in given])
    return core.compile_model(model, DEVICE, _config(settings, threads)), found


def float_values(tensor: Any) -> NDArray[np.float32]:
    """The numbers of an OpenVINO tensor; it hands out bfloat16 as if it were float16."""
    if tensor.get_element_type() == _import().Type.bf16:
        bits = tensor.data.view(np.uint16).astype(np.uint32) << 16
        return np.asarray(bits.view(np.float32))
    return np.array(tensor.data, np.float32)


def _streams(compiled: Any) -> int:
    return int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))


def _parts(batch: int, count: int) -> list[slice]:
    """The batch in at most `count` parts, of sizes that differ by one at most."""
    bounds = np.linspace(0, batch, min(batch, count) + 1).astype(int)
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


def _bind(request: Any, arrays: Mapping[str, Array], rows: slice) -> None:
    """Have a request read and write some rows of the arrays where they lie."""
    tensor = _import().Tensor
    for name, array in arrays.items():
        request.set_tensor(name, tensor(array[rows], shared_memory=True))


def _check_shapes(request: Any, out: Mapping[str, Array], rows: slice) -> None:
    """A ContractError where an answer is smaller than the memory that was there for it."""
    for name, array in out.items():
        shape = tuple(request.get_tensor(name).get_shape())
        if shape != array[rows].shape:
            raise ContractError(
                f"{name} came as {list(shape)}; the contract says {list(array[rows].shape)}"
            )


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise UserError(
            f"OpenVINO is not installed ({error}); expected the module openvino; "
            "install it with `pip install 'trans3dhead[cpu]'`"
        ) from None
    return openvino
