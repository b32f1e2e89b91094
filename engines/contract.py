"""The contract of a bundle: what goes in, what comes out, and what it was made from.

Names, shapes and dtypes of inputs and outputs are declared here once, as data; the exporter, the
checks, the engine builders and the runtimes all read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from engines.errors import ContractError
from engines.records import from_value, read_json

SCHEMA = 1
"""Raised when a field changes its meaning; an older bundle then says how to be exported anew."""

BATCH = "batch"
"""The one axis whose size may be open."""

Variant = Literal["params", "mesh"]


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output."""

    name: str
    dtype: str
    """numpy's name."""
    axes: tuple[int | str, ...]
    """Sizes; the first is "batch"."""
    unit: str
    frame: str
    """What the values are relative to."""
    low: float | None = None
    high: float | None = None
    """The values' range, where there is one."""

    def shape(self, batch: int) -> tuple[int, ...]:
        """The shape at a batch size."""
        return tuple(batch if axis == BATCH else int(axis) for axis in self.axes)

    def check(self, array: npt.NDArray[Any]) -> int:
        """The batch size of an array that fits; a ContractError otherwise."""
        batch = array.shape[0] if array.ndim else 0
        if str(array.dtype) != self.dtype or array.shape != self.shape(batch) or batch < 1:
            axes = ", ".join(map(str, self.axes))
            raise ContractError(
                f"{self.name} came as {array.dtype} {list(array.shape)}; "
                f"expected {self.dtype} [{axes}] with batch at least 1; {self.unit}"
            )
        return batch


@dataclass(frozen=True, kw_only=True)
class ImageContract:
    """How a photo becomes the input (SPEC 2 and 5). Normalising happens inside the graph."""

    size: int
    """Side of the square crop, pixels."""
    color: Literal["RGB"] = "RGB"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop_offset: float = 0.1
    """Share of the box's width or height by which each side of it is grown."""


@dataclass(frozen=True, kw_only=True)
class HeadIdentity:
    """The head model the bundle was made with."""

    name: str
    sha256: str
    licence: str
    redistributable: bool
    """Whether its basis may be passed on; a mesh graph contains the basis."""
    included: bool
    """Whether `head.npz` holds the shape basis too (`--include-head`)."""


@dataclass(frozen=True, kw_only=True)
class RecipeEntry:
    """One precision recipe present in the bundle, as RECIPE.onnx."""

    qamem: Literal["conv", "matmul", "none"]
    """The form of QAMem's transforms in this graph."""
    precision: Literal["float32", "float16", "bfloat16"]
    """The type of the parts the recipe lowers."""
    low_flops_share: float
    """Share of Conv, MatMul and Gemm FLOPs whose output has that type, or whose factors were
    dequantised from int8: the recipe's promise."""
    node_counts: dict[str, int]
    """Nodes of the graph by kind."""
    lowered: tuple[str, ...] = ()
    """Modules of that type, by path; `*` stands for anything."""
    quantised: tuple[str, ...] = ()
    """Modules whose convolutions take int8."""
    kept: tuple[str, ...] = ()
    """Modules within either that stay in float32."""
    calibration_images: int = 0
    """Reference images, the first ones, by which the ranges of int8 values were chosen."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Work of one image."""

    flops: int
    """Of the deployed graph; a multiply-add counts as 2, and attention products are counted."""
    weight_bytes: dict[str, int]
    """Bytes of the weights, by recipe."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the bundle comes from."""

    checkpoint: str
    checkpoint_sha256: str
    git_revision: str
    versions: dict[str, str]
    """Library name to version."""
    preset: str
    configuration: dict[str, Any]
    """The resolved configuration of the network and its training."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All of `contract.json`."""

    schema: int = SCHEMA
    variant: Variant
    batch: int | None
    """The batch size of a static graph; None where it is open."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageContract
    parameters: dict[str, int]
    """The 3DMM layout in order: shape, expression, jaw, rotation, translation, scale."""
    head: HeadIdentity
    recipes: dict[str, RecipeEntry]
    cost: Cost
    provenance: Provenance
    largest: dict[str, float] = field(default_factory=dict)
    """Module to its largest absolute value over the reference images, in float32: half precision
    ends at 65,504. Empty in a bundle that was made before this was looked at."""
    files: dict[str, str] = field(default_factory=dict)
    """File name to sha256, but for this file and `engines/`."""

    def output(self, name: str) -> TensorSpec | None:
        """The output of that name, or None where the bundle has none."""
        return next((spec for spec in self.outputs if spec.name == name), None)

    def blank_inputs(self, batch: int) -> dict[str, npt.NDArray[Any]]:
        """Inputs that fit: zeros, black images."""
        return {spec.name: np.zeros(spec.shape(batch), spec.dtype) for spec in self.inputs}

    def check_inputs(self, arrays: Mapping[str, npt.NDArray[Any]]) -> int:
        """The common batch size of arrays that fit all inputs; a ContractError otherwise."""
        expected = [spec.name for spec in self.inputs]
        if sorted(arrays) != sorted(expected):
            raise ContractError(f"inputs came as {sorted(arrays)}; expected {expected}")
        batches = {spec.check(np.asarray(arrays[spec.name])) for spec in self.inputs}
        if len(batches) > 1:
            raise ContractError(f"inputs came with batches {sorted(batches)}; expected one size")
        return batches.pop()

    def check_outputs(self, arrays: Mapping[str, npt.NDArray[Any]], batch: int) -> None:
        """A ContractError where what an engine gave for a batch is not what it should give."""
        expected = [spec.name for spec in self.outputs]
        if sorted(arrays) != sorted(expected):
            raise ContractError(f"outputs came as {sorted(arrays)}; expected {expected}")
        for spec in self.outputs:
            if spec.check(arrays[spec.name]) != batch:
                raise ContractError(
                    f"{spec.name} came with batch {len(arrays[spec.name])} for {batch} images"
                )


def read_contract(path: Path) -> Contract:
    """Read and check `contract.json`."""
    value = read_json(path)
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise ContractError(
            f"{path} has schema {schema}; this version reads {SCHEMA}; "
            "export the checkpoint anew with `trans3dhead export`"
        )
    return from_value(Contract, value, str(path))


def input_specs(image_size: int) -> tuple[TensorSpec, ...]:
    """The graph's input: a crop as it comes from the decoder."""
    return (
        TensorSpec(
            name="image",
            dtype="uint8",
            axes=(BATCH, image_size, image_size, 3),
            unit="RGB, 0 to 255, not normalised",
            frame="the square crop, rows first",
            low=0,
            high=255,
        ),
    )


def output_specs(
    variant: Variant, *, parameters: int, vertices: int, landmarks: bool
) -> tuple[TensorSpec, ...]:
    """The graph's outputs, in order. `landmarks` is False for single-task networks."""

    def spec(name: str, axes: tuple[int, ...], unit: str, frame: str) -> TensorSpec:
        return TensorSpec(name=name, dtype="float32", axes=(BATCH, *axes), unit=unit, frame=frame)

    crop = "the crop: x right, y down, from its upper left corner"
    specs = [spec("landmarks", (68, 2), "crop pixels", crop)] if landmarks else []
    specs += [
        spec("params", (parameters,), "see `parameters`", "after 3 tanh, with the prior added"),
        spec("rotation", (3, 3), "none", "model space to the image: x right, y down, z inwards"),
    ]
    if variant == "mesh":
        specs += [
            spec("vertices", (vertices, 3), "metres", "posed: model space turned by rotation"),
            spec("projected", (vertices, 2), "crop pixels", crop),
        ]
    return tuple(specs)
