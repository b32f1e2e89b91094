"""A foreign model's input from our crops, and our outputs from its own.

B images, S side of the crop, V vertices, P parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign.adapter import (
    GROUPS,
    Adapter,
    Frame,
    InputForm,
    ParamsForm,
    PointsForm,
    RotationForm,
    VerticesForm,
)
from engines.errors import ContractError
from trans3dhead.head.layout import LAYOUTS, layout_of
from trans3dhead.head.rotation import rotation_from_six_d
from trans3dhead.head.surface import LANDMARK_COUNT, VERTEX_COUNT

Array = NDArray[Any]

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def to_input(images: NDArray[np.uint8], form: InputForm) -> Array:
    """Crops [B, S, S, 3] uint8 RGB as the model takes them."""
    made: Array = images
    if form.dtype != "uint8":
        mean, std = np.array(form.mean, np.float32), np.array(form.std, np.float32)
        made = (images.astype(np.float32) / np.float32(form.divide) - mean) / std
    if form.color == "BGR":
        made = made[..., ::-1]
    if form.layout == "NCHW":
        made = made.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(made, dtype=form.dtype)


def to_outputs(given: Mapping[str, Array], adapter: Adapter) -> dict[str, Array]:
    """Our outputs, float32, from the model's own by name, [B, ...] each.

    Raises:
        ContractError: names every output that has not the shape the adapter says.
    """
    forms, size = adapter.outputs, adapter.input.size
    faults: list[str] = []
    found: dict[str, Array] = {}

    def take(ours: str, form: Any, *shapes: tuple[int, ...]) -> Array | None:
        """The model's output where its shape is one of these; None, and a fault, otherwise."""
        value = np.asarray(given[form.name])
        if value.shape[1:] in shapes and value.dtype.kind == "f":
            return value.astype(np.float32)
        wanted = " or ".join(f"[batch, {', '.join(map(str, shape))}]" for shape in shapes)
        faults.append(
            f"{form.name} ({ours}) came as {value.dtype} {list(value.shape)}, expected {wanted}"
        )
        return None

    readers: dict[str, Callable[[Any], Array | None]] = {
        "landmarks": lambda form: _points(take("landmarks", form, (LANDMARK_COUNT, 2)), form, size),
        "params": lambda form: _params(take("params", form, *((n,) for n in LAYOUTS)), form),
        "rotation": lambda form: _rotation(
            take("rotation", form, (6,) if form.form == "six_d" else (3, 3)), form
        ),
        "vertices": lambda form: _vertices(take("vertices", form, (VERTEX_COUNT, 3)), form),
        "projected": lambda form: _points(take("projected", form, (VERTEX_COUNT, 2)), form, size),
    }
    for ours, read in readers.items():
        form = getattr(forms, ours)
        value = None if form is None else read(form)
        if value is not None:
            found[ours] = value
    if faults:
        raise ContractError(f"the model's outputs: {'; '.join(faults)}; mend the adapter")
    if forms.rotation is None and "params" in found:
        found["rotation"] = rotation_from_six_d(
            found["params"][:, layout_of(found["params"].shape[1]).rotation]
        )
    if forms.vertices is not None and forms.vertices.frame == "model":
        # posed = R v, as rows: v @ R^T
        found["vertices"] = found["vertices"] @ found["rotation"].transpose(0, 2, 1)
    return found


def _points(value: Array | None, form: PointsForm, size: int) -> Array | None:
    """Crop pixels [B, n, 2]."""
    if value is None:
        return None
    to_pixels: dict[Frame, Callable[[Array], Array]] = {
        "crop": lambda points: points,
        "unit": lambda points: points * size,
        "centred": lambda points: (points + 1) * (size / 2),
    }
    return to_pixels[form.frame](value).astype(np.float32)


def _params(value: Array | None, form: ParamsForm) -> Array | None:
    """Parameters [B, P] in our order."""
    if value is None:
        return None
    layout = layout_of(value.shape[1])
    own = (
        layout.shape_slice,
        layout.expression_slice,
        layout.jaw_slice,
        layout.rotation,
        layout.translation,
        layout.scale,
    )
    width = {group: place.stop - place.start for group, place in zip(GROUPS, own, strict=True)}
    starts = np.cumsum([0, *(width[group] for group in form.order)])
    place = dict(zip(form.order, starts.tolist(), strict=False))
    return np.concatenate(
        [value[:, place[group] : place[group] + width[group]] for group in GROUPS], axis=1
    )


def _rotation(value: Array | None, form: RotationForm) -> Array | None:
    """Rotations [B, 3, 3]."""
    if value is None:
        return None
    if form.form == "six_d":
        return rotation_from_six_d(value)
    return value.transpose(0, 2, 1) if form.form == "transposed" else value


def _vertices(value: Array | None, form: VerticesForm) -> Array | None:
    """Metres [B, V, 3]."""
    return None if value is None else value * np.float32(METRES[form.unit])
