"""A plan, deserialised: its tensors held to the contract, and contexts made from it.

B: batch. Works with `tensorrt` and `tensorrt_rtx` alike; the module is passed in.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.contract import BATCH, Contract, TensorSpec
from engines.device import DeviceError
from engines.errors import ContractError
from engines.manifest import BatchProfile

DTYPES = {
    "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "UINT8": "uint8",
    "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
}  # fmt: skip
"""TensorRT's names to numpy's."""

LOG_TAIL = 6
"""Lines of the log that an error quotes."""


@functools.cache
def process_log(trt: Any) -> Any:
    """TensorRT's log in this process: its last lines, for errors. It allows one logger only."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.lines = [*self.lines[1 - LOG_TAIL :], " ".join(msg.split())]

        def tail(self) -> str:
            """The last errors on one line; they are then forgotten."""
            lines, self.lines = self.lines, []
            return " | ".join(lines) or "nothing"

    return Log()


NoteLayer = Callable[[str, float], None]
"""Told a layer's name and the milliseconds it took."""


def _make_profiler(trt: Any, note: NoteLayer) -> Any:
    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            note(layer_name, ms)

    return Profiler()


class Plan:
    """A deserialised plan. Everything here needs the GPU's context current.

    It holds the weights once; any number of contexts, each used by one thread at a time, share it.
    """

    def __init__(self, trt: Any, path: Path, rebuild: str) -> None:
        """Deserialise a plan.

        Args:
            trt: the module tensorrt or tensorrt_rtx.
            path: the raw plan.
            rebuild: the command that builds it anew, for errors.

        Raises:
            ContractError: TensorRT gave None for it; its log says why.
        """
        self.trt = trt
        self._rebuild = rebuild
        self.log = process_log(trt)
        self._runtime = trt.Runtime(self.log)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise ContractError(
                f"{trt.__name__} {trt.__version__} cannot load {path}: {self.log.tail()}; expected "
                f"a plan of this version for this GPU; rebuild: `{rebuild}`"
            )

    @property
    def scratch_bytes(self) -> int:
        """Memory that a context works in; contexts that never run at once may share it."""
        return int(self._engine.device_memory_size_v2)

    def check(self, contract: Contract, profiles: tuple[BatchProfile, ...]) -> None:
        """A ContractError where names, dtypes, shapes or profiles are not what was promised."""
        faults = self._compare_tensors(contract)
        found = self._engine.num_optimization_profiles
        if found != len(profiles):
            faults.append(f"number of profiles is {found}, expected {len(profiles)}")
        elif contract.batch is None and not faults:
            faults = self._compare_profiles(contract, profiles)
        if faults:
            raise ContractError(
                f"the plan does not keep the contract: {'; '.join(faults)}; "
                f"rebuild: `{self._rebuild}`"
            )

    def _compare_tensors(self, contract: Contract) -> list[str]:
        """What of the tensors is not the contract's, in words."""
        faults = []

        def compare(what: str, found: object, expected: object) -> None:
            if found != expected:
                faults.append(f"{what} is {found}, expected {expected}")

        engine, mode = self._engine, self.trt.TensorIOMode
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        for kind, specs in ((mode.INPUT, contract.inputs), (mode.OUTPUT, contract.outputs)):
            of_kind = sorted(name for name in names if engine.get_tensor_mode(name) == kind)
            compare(f"list of {kind.name.lower()}s", of_kind, sorted(spec.name for spec in specs))
        open_size = -1 if contract.batch is None else contract.batch
        for spec in (*contract.inputs, *contract.outputs):
            if spec.name in names:
                dtype = engine.get_tensor_dtype(spec.name).name
                compare(f"dtype of {spec.name}", DTYPES.get(dtype, dtype), spec.dtype)
                shape = tuple(engine.get_tensor_shape(spec.name))
                compare(f"shape of {spec.name}", shape, spec.shape(open_size))
        return faults

    def _compare_profiles(
        self, contract: Contract, profiles: tuple[BatchProfile, ...]
    ) -> list[str]:
        faults = []
        for index, profile in enumerate(profiles):
            for spec in contract.inputs:
                ranges = self._engine.get_tensor_profile_shape(spec.name, index)
                found = [tuple(shape) for shape in ranges]
                expected = [spec.shape(size) for size in (profile.min, profile.opt, profile.max)]
                if found != expected:
                    faults.append(f"profile {index} of {spec.name} is {found}, not {expected}")
        return faults

    def make_context(self, scratch: int) -> Any:
        """An execution context that works in `scratch_bytes` at this address."""
        strategy = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if hasattr(self.trt, "DynamicShapesKernelSpecializationStrategy"):  # TensorRT-RTX
            # compiles kernels for a shape before its first run, not behind the captured graph
            runtime_config = self._engine.create_runtime_config()
            runtime_config.dynamic_shapes_kernel_specialization_strategy = (
                self.trt.DynamicShapesKernelSpecializationStrategy.EAGER
            )
            runtime_config.set_execution_context_allocation_strategy(strategy)
            context = self._engine.create_execution_context(runtime_config)
        else:
            context = self._engine.create_execution_context(strategy)
        if context is None:
            self.fail("create_execution_context gave None")
        if self.scratch_bytes:
            context.set_device_memory(scratch, self.scratch_bytes)
        return context

    def set_shapes(
        self, context: Any, contract: Contract, batch: int, *, profile: int, stream: int
    ) -> None:
        """Fix a context's batch; what that costs is paid here, not at the first run."""
        if self._engine.num_optimization_profiles > 1:
            self._accept(context.set_optimization_profile_async(profile, stream), "the profile")
        for spec in contract.inputs:
            shape = spec.shape(batch)
            self._accept(context.set_input_shape(spec.name, shape), f"{spec.name} {shape}")
        lacking = context.infer_shapes()
        if lacking:
            self.fail(f"infer_shapes lacks {', '.join(lacking)}")
        for spec in (*contract.inputs, *contract.outputs):
            shape = tuple(context.get_tensor_shape(spec.name))
            if shape != spec.shape(batch):
                self.fail(f"{spec.name} has shape {shape} at batch {batch}, {_axes(spec)} expected")

    def set_address(self, context: Any, name: str, address: int) -> None:
        """Say where a tensor lies on the GPU."""
        self._accept(context.set_tensor_address(name, address), f"the address of {name}")

    def enqueue(self, context: Any, stream: int) -> None:
        """Put the network on a stream."""
        self._accept(context.execute_async_v3(stream), "the run")

    def time_layers(self, context: Any, note: NoteLayer) -> None:
        """Have a context tell what each layer of a run took; a run then waits for the GPU."""
        context.profiler = _make_profiler(self.trt, note)

    def close(self) -> None:
        """Free the weights; only where no context was made."""
        del self._engine, self._runtime

    def fail(self, what: str) -> None:
        """A DeviceError with the log's tail."""
        raise DeviceError(
            f"{self.trt.__name__} failed: {what}; it said: {self.log.tail()}; expected success; "
            f"free GPU memory, or rebuild: `{self._rebuild}`"
        )

    def _accept(self, answer: bool, what: str) -> None:
        if not answer:
            self.fail(f"{what} was refused")


def _axes(spec: TensorSpec) -> str:
    return f"[{', '.join(BATCH if axis == BATCH else str(axis) for axis in spec.axes)}]"
