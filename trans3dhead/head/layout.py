"""The order of the head parameters, and the shorter vectors of the ablation (SPEC 3)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError

FULL_SHAPE, FULL_EXPRESSION, FULL_JAW = 300, 100, 3
FRONTAL_SIX_D = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""First two columns of diag(1, -1, -1): the face looks out of the image."""
PRIOR_SCALE = 5.0
"""At scale 0 a head of 0.13 m covers an eighth of the crop; at 5 it fills most of it."""


@dataclass(frozen=True)
class ParameterLayout:
    """Where each group stands: shape | expression | jaw | rotation 6 | translation 3 | scale 1.

    Shape and expression are in standard deviations, the jaw is an axis-angle in radians, the
    rotation is six-dimensional, the translation is in half crops, and scale + 1 in half crops
    per metre.
    """

    shape: int = FULL_SHAPE
    expression: int = FULL_EXPRESSION
    jaw: int = FULL_JAW

    @property
    def count(self) -> int:
        return self.rotation.start + 6 + 3 + 1

    @property
    def shape_slice(self) -> slice:
        return slice(0, self.shape)

    @property
    def expression_slice(self) -> slice:
        return slice(self.shape, self.shape + self.expression)

    @property
    def jaw_slice(self) -> slice:
        return slice(self.shape + self.expression, self.shape + self.expression + self.jaw)

    @property
    def deformation(self) -> slice:
        """Shape, expression and jaw: what bends the mesh (and passes 3 tanh in the network)."""
        return slice(0, self.jaw_slice.stop)

    @property
    def rotation(self) -> slice:
        return slice(self.jaw_slice.stop, self.jaw_slice.stop + 6)

    @property
    def translation(self) -> slice:
        return slice(self.rotation.stop, self.rotation.stop + 3)

    @property
    def scale(self) -> slice:
        return slice(self.translation.stop, self.translation.stop + 1)

    @cached_property
    def full_index(self) -> NDArray[np.int64]:
        """Position in the 413 layout of each of this layout's parameters, int64 [count]."""
        return np.concatenate(
            [
                np.arange(self.shape),
                FULL_SHAPE + np.arange(self.expression),
                FULL_SHAPE + FULL_EXPRESSION + np.arange(self.jaw),
                FULL_SHAPE + FULL_EXPRESSION + FULL_JAW + np.arange(6 + 3 + 1),
            ]
        )


LAYOUT_413 = ParameterLayout()
LAYOUT_160 = ParameterLayout(shape=100, expression=50, jaw=0)
LAYOUT_60 = ParameterLayout(shape=40, expression=10, jaw=0)
LAYOUTS = {layout.count: layout for layout in (LAYOUT_413, LAYOUT_160, LAYOUT_60)}


def layout_of(count: int) -> ParameterLayout:
    """The layout with so many parameters; UserError for any other count."""
    if count not in LAYOUTS:
        known = ", ".join(map(str, LAYOUTS))
        raise UserError(
            f"{count} head parameters; expected one of {known}; choose one of these counts"
        )
    return LAYOUTS[count]


def prior(layout: ParameterLayout) -> NDArray[np.float32]:
    """What the network's output is added to, float32 [count]: a mean head, frontal (SPEC 2)."""
    values = np.zeros(layout.count, np.float32)
    values[layout.rotation] = FRONTAL_SIX_D
    values[layout.scale] = PRIOR_SCALE
    return values


def to_full(params: np.ndarray) -> np.ndarray:
    """Widen [..., 60 | 160 | 413] to [..., 413]; the directions left out are zero."""
    layout = layout_of(params.shape[-1])
    full = np.zeros((*params.shape[:-1], LAYOUT_413.count), params.dtype)
    full[..., layout.full_index] = params
    return full
