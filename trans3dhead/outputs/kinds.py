"""Every kind of output, as data: what it is, how it is drawn, which files it becomes.

A kind is named by its key of `OUTPUT_KINDS`; `dense:NAME` asks for another vertex subset than
dense's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from trans3dhead.outputs.files import depth_files, mesh_file, normals_files, params_file
from trans3dhead.outputs.painters import (
    paint_dense,
    paint_depth,
    paint_landmarks,
    paint_mesh,
    paint_normals,
    paint_pose,
)
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.outputs.subsets import known_subset

Image = NDArray[np.uint8]
Paint = Callable[[Image, Prediction, str], Image]
"""An image [H, W, 3] uint8 RGB, a head and a vertex subset's name to a new image."""
Encode = Callable[[Prediction, tuple[int, int]], dict[str, bytes | str]]
"""A head and the image's (height, width) to what stands in each file, by the end of its name."""
DENSE = "dense"


@dataclass(frozen=True, kw_only=True)
class OutputKind:
    """A kind of output."""

    summary: str
    """What it is, with its unit and frame, in a line."""
    paint: Paint | None = None
    """Lays it over an image; None where there is nothing to see."""
    encode: Encode | None = None
    """Its files of one head; None where the drawn image is all."""
    subset: str = ""
    """The vertices it shows."""


OUTPUT_KINDS = {
    "landmarks68": OutputKind(
        summary="the 68 landmarks of the landmark branch, as dots", paint=paint_landmarks
    ),
    DENSE: OutputKind(
        summary="a vertex subset as dots: the face's 2094, or another as dense:NAME",
        paint=paint_dense,
        subset="face",
    ),
    "face_mesh": OutputKind(
        summary="the triangles of the face's 2094 vertices, shaded", paint=paint_mesh, subset="face"
    ),
    "head_mesh": OutputKind(
        summary="the triangles of the head's 3457 vertices, shaded", paint=paint_mesh, subset="head"
    ),
    "pose": OutputKind(
        summary="the head's axes (left red, up green, out of the face blue) and its angles in "
        "degrees",
        paint=paint_pose,
    ),
    "params": OutputKind(
        summary="JSON: 413 parameters, rotation, pose, landmarks, box and camera",
        encode=params_file,
    ),
    "obj": OutputKind(
        summary="the mesh as Wavefront OBJ, vertex colours in its v lines",
        encode=partial(mesh_file, suffix=".obj"),
    ),
    "ply": OutputKind(
        summary="the mesh as binary PLY with vertex colours",
        encode=partial(mesh_file, suffix=".ply"),
    ),
    "glb": OutputKind(
        summary="the mesh as binary glTF with vertex colours",
        encode=partial(mesh_file, suffix=".glb"),
    ),
    "depth": OutputKind(
        summary="16-bit PNG: how deep the visible surface lies, 0.02 mm a step, and its scale as "
        "JSON",
        paint=paint_depth,
        encode=depth_files,
    ),
    "normals": OutputKind(
        summary="RGB PNG: the visible surface's normals, x right, y up, z to the viewer",
        paint=paint_normals,
        encode=normals_files,
    ),
}


def chosen_kinds(names: Sequence[str]) -> list[OutputKind]:
    """The kinds of these names, `dense:NAME` with its subset.

    Raises:
        UserError: no kind has that name.
    """
    return [_chosen(name) for name in names]


def check_kinds(names: Sequence[str], subsets: Mapping[str, NDArray[np.int32]]) -> None:
    """UserError for an unknown kind, or a subset that is none of `subsets`."""
    for kind in chosen_kinds(names):
        if kind.subset:
            known_subset(subsets, kind.subset)


def _chosen(name: str) -> OutputKind:
    base, _, subset = name.partition(":")
    if base not in OUTPUT_KINDS or (subset and base != DENSE):
        raise UserError(
            f"the output {name!r} is not known; expected some of {', '.join(OUTPUT_KINDS)} or "
            f"{DENSE}:SUBSET; correct the name"
        )
    kind = OUTPUT_KINDS[base]
    return replace(kind, subset=subset) if subset else kind
