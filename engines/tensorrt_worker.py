"""The process in which one plan is built: `python -m engines.tensorrt_worker`.

Takes the task as JSON in its argument; writes one JSON object a line to standard output:
{"progress": [phase, share]} while it works, then {"found": share} or {"fault": message}.
"""

import importlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.contract import BATCH
from engines.errors import BuildError, UserError, one_line
from engines.precision import Product, check_promise, low_share
from engines.tensorrt_flavours import FLAVOURS
from engines.tensorrt_layers import check_plan, layer_table, plan_shares
from engines.tensorrt_plan import DTYPES, LOG_TAIL, process_log
from engines.timing_cache import attach, keep

MIB = 1 << 20

Report = Callable[[dict[str, Any]], None]


class LogLines(logging.Handler):
    """Keeps what Polygraphy and, through its logger, TensorRT say."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, " ".join(record.getMessage().split())))

    def texts(self) -> list[str]:
        """All lines."""
        return [line for _, line in self.lines]

    def tail(self) -> str:
        """The last errors, or the last lines of any kind; on one line."""
        errors = [line for level, line in self.lines if level >= logging.ERROR]
        return " | ".join((errors or [line for _, line in self.lines])[-LOG_TAIL:])


def main(task: str) -> None:
    """Build what a task, as JSON, asks for."""
    # the libraries print on standard output; the reports keep a descriptor of their own
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def report(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        report({"found": build_plan(json.loads(task), report)})
    except UserError as error:
        report({"fault": str(error)})
    except OSError as error:
        report({"fault": f"the plan cannot be written: {one_line(error)}; free some space"})


def build_plan(task: dict[str, Any], report: Report) -> float:
    """Parse, check and build; returns the share of FLOPs in half.

    Raises:
        BuildError: ends with the tail of the log.
    """
    # Polygraphy reads this once, when it is imported
    os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = "1" if task["flavour"] == "tensorrt-rtx" else "0"
    from polygraphy.backend.trt import EngineBytesFromNetwork, NetworkFromOnnxPath
    from polygraphy.exception import PolygraphyException

    log = _collect_log()
    trt = importlib.import_module(FLAVOURS[task["flavour"]].module)
    report({"progress": ["parsing the graph", 0.0]})
    try:
        parsed = NetworkFromOnnxPath(task["graph"], strongly_typed=True)()
    except PolygraphyException:
        raise BuildError(f"{task['flavour']} cannot parse {task['graph']}: {log.tail()}") from None
    network = parsed[1]
    _check_names(task, network)
    products = network_products(trt, network, task)
    found = low_share(products)
    kind = "int8" if any(product.dtype == "int8" for product in products) else "half"
    check_promise(found, task["promised"], f"the network parsed by {task['flavour']}", kind)
    configuration = Configuration(trt, task, log, report)
    try:
        plan = bytes(EngineBytesFromNetwork(parsed, config=configuration)())
    except PolygraphyException:
        raise BuildError(
            f"{task['flavour']} built no plan from {task['graph']}: {log.tail()}"
        ) from None
    configuration.keep_timings()
    Path(task["plan"]).write_bytes(plan)
    if task["layers"] is not None:
        write_layers(trt, plan, products, task)
    return found


def write_layers(trt: Any, plan: bytes, products: list[Product], task: dict[str, Any]) -> None:
    """Save the inspector's table of a built plan; needs the GPU.

    Raises:
        BuildError: the plan cannot be loaded, or computes less in half than promised.
    """
    log = process_log(trt)
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan)
    context = None if engine is None else engine.create_execution_context()
    if engine is None or context is None:
        raise BuildError(f"{task['flavour']} cannot load the plan it built: {log.tail()}")
    # without shapes, the inspector leaves out the types of a dynamic plan
    for name, axes in task["inputs"].items():
        if not context.set_input_shape(name, _shape(axes, task["profiles"][0]["opt"])):
            raise BuildError(f"{task['flavour']} refuses the shape of {name}: {log.tail()}")
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    information = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    shares = plan_shares(products, json.loads(information)["Layers"])
    Path(task["layers"]).write_text(layer_table(information, shares))
    check_plan(shares, task["promised"])


def network_products(trt: Any, network: Any, task: dict[str, Any]) -> list[Product]:
    """Convolutions and matrix products of a parsed network, at the first profile's optimum.

    The inputs' shapes are set to that size while the layers are walked, then opened again.
    """
    open_shapes = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        open_shapes[index] = tuple(tensor.shape)
        tensor.shape = _shape(task["inputs"][tensor.name], task["profiles"][0]["opt"])
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    integers = {
        layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE
    }
    products = [product for layer in layers for product in _product(trt, layer, integers)]
    for index, shape in open_shapes.items():
        network.get_input(index).shape = shape
    return products


def _product(trt: Any, layer: Any, integers: set[str]) -> list[Product]:
    """The layer as a product, or nothing; of int8 where both factors are among `integers`."""
    kind = layer.type
    if kind == trt.LayerType.CONVOLUTION:
        layer.__class__ = trt.IConvolutionLayer
        channels = layer.get_input(0).shape[1] // layer.num_groups
        reduced = channels * math.prod(layer.kernel_size_nd)
    elif kind == trt.LayerType.MATRIX_MULTIPLY:
        layer.__class__ = trt.IMatrixMultiplyLayer
        transposed = layer.op0 == trt.MatrixOperation.TRANSPOSE
        reduced = layer.get_input(0).shape[-2 if transposed else -1]
    else:
        return []
    output = layer.get_output(0)
    size = math.prod(output.shape)
    if min(reduced, size) < 0:
        raise BuildError(f"layer {layer.name} keeps an open size at a fixed batch; export anew")
    low = layer.num_inputs > 1 and all(layer.get_input(side).name in integers for side in (0, 1))
    dtype = "int8" if low else DTYPES.get(output.dtype.name, "other")
    return [Product(name=layer.name, dtype=dtype, flops=2 * size * reduced)]


class Configuration:
    """Polygraphy calls it with builder and network to have the builder's configuration."""

    def __init__(self, trt: Any, task: dict[str, Any], log: LogLines, report: Report) -> None:
        self._trt, self._task, self._log, self._report = trt, task, log, report
        self._made: Any = None

    def __call__(self, builder: Any, network: Any) -> Any:
        from polygraphy.backend.trt import CreateConfig, Profile

        trt, task = self._trt, self._task
        maker = CreateConfig
        if task["flavour"] == "tensorrt-rtx":
            from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

            maker = CreateConfigRTX
        profiles = []
        for sizes in task["profiles"]:
            profile = Profile()
            for name, axes in task["inputs"].items():
                profile.add(name, *(_shape(axes, sizes[key]) for key in ("min", "opt", "max")))
            profiles.append(profile)
        limits = {}
        if task["workspace"] is not None:
            limits[trt.MemoryPoolType.WORKSPACE] = task["workspace"] * MIB
        config = maker(
            profiles=profiles,
            builder_optimization_level=task["optimization_level"],
            memory_pool_limits=limits,
            progress_monitor=_make_monitor(trt, self._report),
        )(builder, network)
        # float32 parts of a recipe mean float32, not TF32's 10 bits of mantissa
        config.clear_flag(trt.BuilderFlag.TF32)
        if task["flavour"] == "tensorrt-rtx":
            # a run that allocates could not be captured in a CUDA graph
            config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if task["timing_cache"] is not None:
            path = Path(task["timing_cache"])
            attach(config, path, heard=self._log.texts, say=self._say)
        self._made = config
        return config

    def keep_timings(self) -> None:
        """Save what the build measured; a plan that was built is not lost with its cache."""
        if self._task["timing_cache"] is not None:
            try:
                keep(self._made, Path(self._task["timing_cache"]), self._say)
            except OSError as error:
                self._say(f"timing cache not saved ({error.strerror})")

    def _say(self, what: str) -> None:
        self._report({"progress": [what, 1.0]})


def _make_monitor(trt: Any, report: Report) -> Any:
    """The builder's own progress, outermost phases only."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self.steps:
                report({"progress": [phase, (step + 1) / max(1, self.steps[phase])]})
            return True

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

    return Monitor()


def _check_names(task: dict[str, Any], network: Any) -> None:
    inputs = [network.get_input(index).name for index in range(network.num_inputs)]
    outputs = [network.get_output(index).name for index in range(network.num_outputs)]
    if sorted(inputs) != sorted(task["inputs"]) or sorted(outputs) != sorted(task["outputs"]):
        raise BuildError(
            f"{task['graph']} has inputs {inputs} and outputs {outputs}; the contract says "
            f"{list(task['inputs'])} and {task['outputs']}; export anew"
        )


def _collect_log() -> LogLines:
    """Send what Polygraphy and TensorRT say to a list in place of the terminal."""
    from polygraphy.logger import G_LOGGER

    log = LogLines()
    G_LOGGER.use_python_logging_system = True
    G_LOGGER.module_severity = G_LOGGER.INFO
    logger = logging.getLogger("Polygraphy")
    logger.setLevel(logging.INFO)
    logger.addHandler(log)
    logger.propagate = False
    return log


def _shape(axes: list[int | str], batch: int) -> tuple[int, ...]:
    """A contract's axes at a batch size."""
    return tuple(batch if axis == BATCH else int(axis) for axis in axes)


if __name__ == "__main__":
    main(sys.argv[1])
