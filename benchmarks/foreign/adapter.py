"""The adapter file: what a foreign model takes and gives, in TOML.

precision = "float32"       # whose margins it is judged by
[input]
size = 256
layout = "NCHW"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[outputs.landmarks]
name = "points"
frame = "unit"
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from engines.errors import UserError
from engines.records import from_value

GROUPS = ("shape", "expression", "jaw", "rotation", "translation", "scale")
"""Of the head parameters, in our order."""
Frame = Literal["crop", "unit", "centred"]
"""Where points lie: pixels of the crop; 0 to 1 across it; -1 to 1 across it."""


@dataclass(frozen=True, kw_only=True)
class InputForm:
    """How a crop [size, size, 3] uint8 RGB becomes the model's input."""

    size: int
    """Side of the crop, pixels."""
    name: str | None = None
    """Of the input; needed where the model has several, and then the others must have defaults."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    color: Literal["RGB", "BGR"] = "RGB"
    divide: float = 255.0
    """Pixels are divided by it,"""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    """then this is taken away,"""
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    """then they are divided by this; both for red, green, blue, whatever the order of channels."""
    batch: int | None = None
    """The one batch size a TorchScript model takes; an ONNX graph says it itself."""

    def __post_init__(self) -> None:
        faults = []
        if self.size < 1:
            faults.append(f"size {self.size} is below 1")
        if self.batch is not None and self.batch < 1:
            faults.append(f"batch {self.batch} is below 1")
        if len(self.mean) != 3 or len(self.std) != 3:
            faults.append("mean and std have three numbers each")
        if self.divide == 0 or 0 in self.std:
            faults.append("divide and std are not 0")
        plain = self.divide == 1 and set(self.mean) == {0.0} and set(self.std) == {1.0}
        if self.dtype == "uint8" and not plain:
            faults.append("uint8 pixels are not scaled: divide = 1, no mean, no std")
        if faults:
            raise UserError(f"[input] of the adapter: {'; '.join(faults)}; mend these")


@dataclass(frozen=True, kw_only=True)
class PointsForm:
    """Points [batch, n, 2], x right and y down."""

    name: str
    """Of the output: an ONNX output, a key of TorchScript's dictionary, or its place from 0."""
    frame: Frame


@dataclass(frozen=True, kw_only=True)
class ParamsForm:
    """Head parameters [batch, 413 | 160 | 60], the prior added, after 3 tanh."""

    name: str
    order: tuple[str, ...] = GROUPS

    def __post_init__(self) -> None:
        if sorted(self.order) != sorted(GROUPS):
            raise UserError(
                f"[outputs.params] order came as {', '.join(self.order)}; expected each of "
                f"{', '.join(GROUPS)} once; mend it"
            )


@dataclass(frozen=True, kw_only=True)
class RotationForm:
    """From model space (y up, z out of the face) to the image (y down, z inwards)."""

    name: str
    form: Literal["matrix", "transposed", "six_d"] = "matrix"
    """[batch, 3, 3]; the same transposed; or two columns [batch, 6]."""


@dataclass(frozen=True, kw_only=True)
class VerticesForm:
    """Vertices [batch, 5023, 3]."""

    name: str
    unit: Literal["m", "cm", "mm"] = "m"
    frame: Literal["posed", "model"] = "posed"
    """model: before the rotation, which must be known then."""


@dataclass(frozen=True, kw_only=True)
class OutputForms:
    """What the model gives; a rotation that it leaves out is taken from its parameters."""

    landmarks: PointsForm | None = None
    params: ParamsForm | None = None
    rotation: RotationForm | None = None
    vertices: VerticesForm | None = None
    projected: PointsForm | None = None

    def __post_init__(self) -> None:
        if not self.names:
            known = ", ".join(f"[outputs.{field.name}]" for field in fields(self))
            raise UserError(f"the adapter names no output; expected at least one of {known}")
        posed = self.rotation or self.params
        if self.vertices is not None and self.vertices.frame == "model" and posed is None:
            raise UserError(
                '[outputs.vertices] came with frame = "model" and no rotation; expected '
                "[outputs.rotation] or [outputs.params] beside it, or posed vertices"
            )

    @property
    def names(self) -> dict[str, str]:
        """Our name of each output that the model gives, to its own."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: form.name for name, form in given.items() if form is not None}


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """All of the file."""

    input: InputForm
    outputs: OutputForms
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Of what it computes; decides the margins."""


def read_adapter(path: Path) -> Adapter:
    """Read and check an adapter file; a UserError names every fault."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(
            f"the adapter {path} cannot be read ({error.strerror}); expected a TOML file; "
            "check the path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not TOML ({error}); expected sections such as [input]; mend that line"
        ) from None
    return from_value(Adapter, content, str(path))
