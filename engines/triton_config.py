"""`config.pbtxt`: how Triton Inference Server is told what a model takes, gives and is served by.

The file is a `ModelConfig` message in protobuf's text format. It is written here as plain values,
so that deploying needs neither protobuf nor Triton's client; the tests parse it with the latter's
own classes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines.contract import Contract, TensorSpec
from engines.manifest import BatchProfile, Manifest

TYPES = {
    "uint8": "TYPE_UINT8",
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
}
"""numpy's names to `DataType`'s."""


class Word(str):
    """A name of an enumeration: written without quotes."""


Message = Sequence[tuple[str, Any]]
"""Fields in order; a repeated field stands once for each of its values. A value is a str, a Word,
an int, a bool or a Message."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One of Triton's backends."""

    name: str
    platform: str
    file: str
    """What it expects the model's file to be called."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What may be chosen when an engine is deployed."""

    name: str
    """The model's name on the server."""
    instances: int
    """Copies of the model that answer at the same time, on each GPU or on the CPU."""
    queue_delay: int
    """Microseconds a request waits for others to share its batch with."""


def model_config(contract: Contract, manifest: Manifest, backend: Backend, serving: Serving) -> str:
    """The text of `config.pbtxt`.

    An open batch is left out of the shapes, as Triton wants it, and its dynamic batcher joins
    requests up to the largest profile. A static graph is served as it is, its batch an axis like
    any other. Each profile's smallest, best and largest batch runs before the model is ready.
    """
    is_open = contract.batch is None
    largest = max(profile.max for profile in manifest.profiles)
    fields: list[tuple[str, Any]] = [
        ("name", serving.name),
        ("platform", backend.platform),
        ("backend", backend.name),
        ("default_model_filename", backend.file),
        ("max_batch_size", largest if is_open else 0),
    ]
    fields += [("input", _tensor(spec, contract)) for spec in contract.inputs]
    fields += [("output", _tensor(spec, contract)) for spec in contract.outputs]
    fields.append(("version_policy", [("latest", [("num_versions", 1)])]))
    fields.append(("instance_group", _instances(manifest, backend, serving)))
    if is_open:
        fields.append(("dynamic_batching", _batching(manifest.profiles, backend, serving)))
    sizes = {size for item in manifest.profiles for size in (item.min, item.opt, item.max)}
    for size in sorted(sizes):
        fields.append(("model_warmup", _warmup(contract, size)))
    if manifest.provider == "cuda":  # as our own sessions have it: float32 means float32
        precise = [("name", "cuda"), ("parameters", [("key", "use_tf32"), ("value", "0")])]
        accelerators = [("gpu_execution_accelerator", precise)]
        fields.append(("optimization", [("execution_accelerators", accelerators)]))
    return "\n".join(text_format(fields)) + "\n"


def text_format(message: Message, indent: str = "") -> Iterator[str]:
    """The lines of a message in protobuf's text format."""
    for key, value in message:
        if isinstance(value, bool):
            yield f"{indent}{key}: {str(value).lower()}"
        elif isinstance(value, int | Word):
            yield f"{indent}{key}: {value}"
        elif isinstance(value, str):
            yield f"{indent}{key}: {json.dumps(value)}"
        else:
            yield f"{indent}{key} {{"
            yield from text_format(value, f"{indent}  ")
            yield f"{indent}}}"


def _tensor(spec: TensorSpec, contract: Contract) -> Message:
    shape = _shape(spec, contract)
    return [
        ("name", spec.name),
        ("data_type", Word(TYPES[spec.dtype])),
        *(("dims", size) for size in shape),
    ]


def _shape(spec: TensorSpec, contract: Contract) -> tuple[int, ...]:
    """The shape as Triton counts it: without an open batch."""
    return spec.shape(1)[1:] if contract.batch is None else spec.shape(contract.batch)


def _instances(manifest: Manifest, backend: Backend, serving: Serving) -> Message:
    kind = Word("KIND_CPU" if manifest.provider == "cpu" else "KIND_GPU")
    fields: list[tuple[str, Any]] = [("count", serving.instances), ("kind", kind)]
    if backend.name == "tensorrt":  # without names the first profile alone would be used
        fields += [("profile", str(index)) for index in range(len(manifest.profiles))]
    return fields


def _batching(profiles: Sequence[BatchProfile], backend: Backend, serving: Serving) -> Message:
    """The sizes a plan was tuned for are preferred where it was tuned for several."""
    preferred: list[int] = []
    if backend.name == "tensorrt" and len(profiles) > 1:
        preferred = sorted({profile.opt for profile in profiles})
    return [
        *(("preferred_batch_size", size) for size in preferred),
        ("max_queue_delay_microseconds", serving.queue_delay),
    ]


def _warmup(contract: Contract, size: int) -> Message:
    """One request of zeros, repeated to a batch of `size` where the batch is open."""
    inputs = []
    for spec in contract.inputs:
        tensor = [
            ("data_type", Word(TYPES[spec.dtype])),
            *(("dims", axis) for axis in _shape(spec, contract)),
            ("zero_data", True),
        ]
        inputs.append(("inputs", [("key", spec.name), ("value", tensor)]))
    batch = size if contract.batch is None else 1
    return [("name", f"batch {size}"), ("batch_size", batch), *inputs]
