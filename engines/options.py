"""What a build may be asked for beyond recipe and runtime: one field an option, with its help."""

from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """None leaves an option to the runtime; one that the runtime does not have is refused."""

    provider: Literal["cpu", "cuda", "tensorrt"] | None = None
    """What computes in ONNX Runtime; cpu unless given. The one asked for is used, or an error."""
    half: Literal["emulated", "native"] | None = None
    """How ONNX Runtime computes a half recipe: emulated rounds as half does, in float32 (the
    CPU's default: it has no half kernels); native leaves it to the provider."""
    mode: Literal["latency", "throughput"] | None = None
    """What OpenVINO is tuned for: latency gives one call all cores (its default); throughput
    splits a call's batch over several streams."""
    optimization_level: int | None = None
    """Effort of TensorRT's builder, 0 to 5; its own default unless given."""
    workspace: int | None = None
    """Memory in MiB that TensorRT may use within an operation; all of the GPU's unless given."""

    def given(self) -> dict[str, Any]:
        """The options that are not None, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(BuildOptions)}
        return {name: value for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"
