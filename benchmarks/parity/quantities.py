"""How far an engine moves each output, point by point, in units a person can picture.

n samples, P parameters, V vertices. Pixels are those of a crop 256 wide, whatever the network's
own: so one margin serves every size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.layout import layout_of

Array = NDArray[np.floating]

PIXELS_OF = 256
PIXELS = "px of 256"
HALF_HEAD = 0.1
"""Metres: half the side of a square as large as a head; scale and translation move its corners."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One movement of one output."""

    output: str
    name: str
    unit: str
    values: Array
    """[n, points], at least 0."""

    @property
    def full_name(self) -> str:
        """OUTPUT/NAME."""
        return f"{self.output}/{self.name}"


def movements(
    engine: Mapping[str, Array], reference: Mapping[str, Array], crop_size: int
) -> list[Quantity]:
    """The movement of every output that both have.

    Args:
        engine, reference: some of landmarks [n, 68, 2], params [n, P], rotation [n, 3, 3],
            vertices [n, V, 3] metres, projected [n, V, 2]; pixels of the crop; all finite.
        crop_size: side of the crop, pixels.
    """
    to_pixels = PIXELS_OF / crop_size
    found = []
    for output, unit, factor in (
        ("landmarks", PIXELS, to_pixels),
        ("projected", PIXELS, to_pixels),
        ("vertices", "mm", 1000.0),
    ):
        if output in engine and output in reference:
            moved = factor * distances(engine[output], reference[output])
            found.append(Quantity(output=output, name="movement", unit=unit, values=moved))
    if "rotation" in engine:
        angle = angles(engine["rotation"], reference["rotation"])
        found.append(
            Quantity(output="rotation", name="movement", unit="degrees", values=angle[:, None])
        )
    if "params" in engine:
        found += _parameter_movements(engine["params"], reference["params"])
    return found


def distances(first: Array, second: Array) -> Array:
    """Distances [n, points] of points [n, points, 2 or 3]."""
    moved: Array = np.linalg.norm(first.astype(np.float64) - second, axis=-1)
    return moved


def angles(first: Array, second: Array) -> Array:
    """Degrees [n] of the turn between rotations [n, 3, 3].

    |A - B| (Frobenius) = 2 sqrt(2) sin(angle / 2): exact for small angles, where a trace is not;
    a matrix that is no rotation counts by its distance, up to 180.
    """
    gap = np.linalg.norm(first.astype(np.float64) - second, axis=(1, 2))
    degrees: Array = np.degrees(2 * np.arcsin(np.minimum(gap / np.sqrt(8), 1)))
    return degrees


def _parameter_movements(engine: Array, reference: Array) -> list[Quantity]:
    """Scale and (tx, ty) by what they do to a head's corners; all others as they are."""
    layout = layout_of(engine.shape[-1])
    moved = engine.astype(np.float64) - reference  # [n, P]
    # A corner at (x, y) = HALF_HEAD (+-1, +-1) moves by ds (x, y) + (dtx, dty) half crops.
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    shift = moved[:, None, layout.translation][..., :2]  # [n, 1, 2]
    corners = moved[:, None, layout.scale] * HALF_HEAD * signs + shift  # [n, 4, 2]
    placement = np.linalg.norm(corners, axis=-1) * PIXELS_OF / 2  # [n, 4]
    placed = np.r_[layout.translation.start : layout.translation.start + 2, layout.scale.start]
    others = np.abs(np.delete(moved, placed, axis=1))
    return [
        Quantity(output="params", name="placement", unit=PIXELS, values=placement),
        Quantity(output="params", name="coefficients", unit="parameter units", values=others),
    ]
