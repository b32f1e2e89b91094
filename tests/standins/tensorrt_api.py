"""Stands in for tensorrt: a plan is JSON, and its network answers with the mean of each image.

Strict where that finds mistakes: shapes out of a profile, a missing address or scratch memory, a
capture before the first plain run, a context altered under its graph. Held to the names and
parameters of the real bindings by test_api_names.py.
"""

import enum
import json
from typing import Any

import numpy as np

from standins.gpu import ILLEGAL_ADDRESS, GpuError, gpu

__version__ = "10.4.0"


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class DynamicShapesKernelSpecializationStrategy(enum.Enum):
    """Of TensorRT-RTX alone; taken away from the plain flavour."""

    LAZY = 0
    EAGER = 1
    NONE = 2


class LayerInformationFormat(enum.Enum):
    ONELINE = 0
    JSON = 1


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    INTERNAL_ERROR = Severity.INTERNAL_ERROR
    ERROR = Severity.ERROR
    WARNING = Severity.WARNING
    INFO = Severity.INFO

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class Logger(ILogger):
    """TensorRT's own, which prints; this one is silent."""

    def __init__(self, min_severity: Severity = Severity.WARNING) -> None:
        pass

    def log(self, severity: Severity, msg: str) -> None:
        pass


class IProfiler:
    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


def nptype(trt_type: DataType) -> type:
    return {DataType.FLOAT: np.float32, DataType.UINT8: np.uint8}[trt_type]


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        gpu().call("deserialize_cuda_engine")
        try:
            return ICudaEngine(json.loads(serialized_engine), self._logger)
        except ValueError:
            self._logger.log(ILogger.INFO, "Loaded engine size: 0 MiB")
            self._logger.log(ILogger.ERROR, "Serialization assertion\nmagicTag failed.")
            return None


class ICudaEngine:
    def __init__(self, plan: dict[str, Any], logger: ILogger) -> None:
        self._plan = plan
        self._logger = logger
        self._tensors = {tensor["name"]: tensor for tensor in plan["tensors"]}
        self._gpu = gpu()
        self._gpu.engines += 1

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._plan["profiles"])

    @property
    def device_memory_size_v2(self) -> int:
        return int(self._plan["scratch"])

    def get_tensor_name(self, index: int) -> str:
        return str(self._plan["tensors"][index]["name"])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if self._tensors[name]["input"] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[self._tensors[name]["dtype"]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name]["shape"])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        rest = self.get_tensor_shape(name)[1:]
        return [(batch, *rest) for batch in self._plan["profiles"][profile_index]]

    def create_execution_context(
        self,
        strategy: "ExecutionContextAllocationStrategy | IRuntimeConfig" = (
            ExecutionContextAllocationStrategy.STATIC
        ),
    ) -> "IExecutionContext | None":
        if self._plan.get("no_context"):
            self._logger.log(ILogger.ERROR, "out of memory")
            return None
        gpu().call("create_execution_context")
        context = IExecutionContext(self)
        if strategy is ExecutionContextAllocationStrategy.STATIC:
            context._scratch = -1  # its own
        return context

    def create_runtime_config(self) -> "IRuntimeConfig":
        return IRuntimeConfig()

    def create_engine_inspector(self) -> "EngineInspector":
        return EngineInspector(self)

    def __del__(self) -> None:
        if not self._gpu.contexts:
            self._gpu.misuse.append("engine freed without a context")
        self._gpu.engines -= 1


class IRuntimeConfig:
    """Of TensorRT-RTX and TensorRT 11."""

    def __init__(self) -> None:
        self.dynamic_shapes_kernel_specialization_strategy = (
            DynamicShapesKernelSpecializationStrategy.LAZY
        )

    def set_execution_context_allocation_strategy(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> None:
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._gpu = gpu()
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self._flushed = False
        """Whether a plain run followed the last change of shape."""
        self._state = 0
        """Counts alterations; a graph holds for the state it was captured in."""
        self.profiler: IProfiler | None = None

    def set_device_memory(self, memory: int, size: int) -> None:
        gpu().array(memory, size)
        assert size >= self._engine.device_memory_size_v2
        assert memory % 256 == 0
        self._scratch = memory

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        gpu().call(f"profile {profile_index}")
        gpu().stream(stream_handle)
        self._profile, self._shapes = profile_index, {}
        self._alter()
        return 0 <= profile_index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        declared = self._engine.get_tensor_shape(name)
        low, _, high = self._engine._plan["profiles"][self._profile]
        if tuple(shape[1:]) != declared[1:] or not low <= shape[0] <= high:
            self._engine._logger.log(ILogger.ERROR, f"{name} {shape} out of {low} to {high}")
            return False
        self._shapes[name] = tuple(shape)
        self._alter()
        return True

    def infer_shapes(self) -> list[str]:
        return [
            name
            for name, tensor in self._engine._tensors.items()
            if tensor["input"] and name not in self._shapes
        ]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch = next(iter(self._shapes.values()))[0]
        return (batch, *self._engine.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine._tensors or memory == 0:
            return False
        self._addresses[name] = memory
        self._state += 1
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        gpu().call("execute_async_v3")
        stream = gpu().stream(stream_handle)
        ready = set(self._addresses) == set(self._engine._tensors) and not self.infer_shapes()
        if not ready or (self._engine.device_memory_size_v2 and not self._scratch):
            self._engine._logger.log(ILogger.ERROR, "addresses, shapes or memory are missing")
            return False
        if stream.recorded is not None and not self._flushed:
            stream.invalid = True
            self._engine._logger.log(ILogger.ERROR, "not permitted when stream is capturing")
            return False
        state = self._state

        def work() -> None:
            if state != self._state:
                raise GpuError(ILLEGAL_ADDRESS)
            self._compute()

        gpu().put(stream_handle, work)
        self._flushed = True
        if self.profiler is not None and stream.recorded is None:
            gpu().synchronize(stream_handle)
            for layer in self._engine._plan["layers"]:
                self.profiler.report_layer_time(layer["Name"], layer["ms"])
        return True

    def _alter(self) -> None:
        self._flushed = False
        self._state += 1

    def _compute(self) -> None:
        image = self._view("image")
        means = image.reshape(len(image), -1).mean(axis=1, dtype=np.float64)
        for name, tensor in self._engine._tensors.items():
            if not tensor["input"]:
                output = self._view(name)
                output[...] = answer(means, output.shape)

    def _view(self, name: str) -> np.ndarray:
        shape = self.get_tensor_shape(name)
        dtype = np.uint8 if self._engine._tensors[name]["dtype"] == "UINT8" else np.float32
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._gpu.array(self._addresses[name], size).view(dtype).reshape(shape)


def answer(means: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """float32 [B, ...]: element k of an item is the mean of its image plus k / 16."""
    steps = np.arange(int(np.prod(shape[1:])), dtype=np.float32) / 16
    return (means.astype(np.float32)[:, None] + steps).reshape(shape)


class EngineInspector:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self.execution_context: IExecutionContext | None = None

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        assert format is LayerInformationFormat.JSON
        layers = self._engine._plan["layers"]
        if self.execution_context is None or self.execution_context.infer_shapes():
            for layer in layers:
                for tensor in (*layer["Inputs"], *layer["Outputs"]):
                    tensor["Format/Datatype"] = "N/A due to dynamic shapes"
        return json.dumps({"Layers": layers, "Bindings": list(self._engine._tensors)})


class ITimingCache:
    def __init__(self, entries: dict[str, float]) -> None:
        self._entries = entries

    def serialize(self) -> memoryview:
        return memoryview(json.dumps(self._entries, sort_keys=True).encode())

    def combine(self, input_cache: "ITimingCache", ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if "other GPU" in input_cache._entries:
            return False
        self._entries = input_cache._entries | self._entries
        return True


class IBuilderConfig:
    """The part of it that timing caches need."""

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self._cache = ITimingCache({})

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        try:
            return ITimingCache(json.loads(serialized_timing_cache or b"{}"))
        except ValueError:
            self._logger.log(ILogger.WARNING, "The timing cache will not be used!")
            return ITimingCache({})

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if "other GPU" in cache._entries:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._cache
