"""How far an output's numbers are from the reference: the first layer of evidence.

n samples; an output is [n, ...] float32.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class TensorDifference:
    """Engine against reference for one output; None where no pair of numbers could be compared."""

    output: str
    largest_absolute: float | None
    mean_absolute: float | None
    relative: float | None
    """|engine - reference| / |reference| in the Euclidean norm, over all samples."""
    cosine: float | None
    """Of all samples as one vector; None where either is zero."""
    largest_ulps: int | None
    """Representable float32 numbers between the two, at most; large near zero by nature."""
    median_ulps: float | None
    nan: int
    """NaN in the engine's output."""
    infinite: int
    worst_sample: int | None
    """Where the largest absolute difference is; the first number that is not finite, if any."""
    worst_index: tuple[int, ...] | None
    """Within that sample."""

    @property
    def finite(self) -> bool:
        return self.nan == 0 and self.infinite == 0


def compare(output: str, engine: Array, reference: Array) -> TensorDifference:
    """Compare an engine's output with the reference, both [n, ...] float32 of one shape.

    Numbers that are not finite are counted and left out of the differences.
    """
    assert engine.shape == reference.shape, (output, engine.shape, reference.shape)
    finite = np.isfinite(engine)
    nan, infinite = int(np.isnan(engine).sum()), int(np.isinf(engine).sum())
    first, second = engine[finite].astype(np.float64), reference[finite].astype(np.float64)
    absolute = np.abs(first - second)
    if nan + infinite:
        worst = np.unravel_index(int(np.argmin(finite)), engine.shape)
    else:
        worst = np.unravel_index(int(np.argmax(absolute)), engine.shape)
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    ulps = ulps_between(engine[finite], reference[finite])
    some = absolute.size > 0
    return TensorDifference(
        output=output,
        largest_absolute=float(absolute.max()) if some else None,
        mean_absolute=float(absolute.mean()) if some else None,
        relative=float(np.linalg.norm(absolute)) / norms[1] if norms[1] else None,
        cosine=float(first @ second) / (norms[0] * norms[1]) if all(norms) else None,
        largest_ulps=int(ulps.max()) if some else None,
        median_ulps=float(np.median(ulps)) if some else None,
        nan=nan,
        infinite=infinite,
        worst_sample=int(worst[0]),
        worst_index=tuple(int(i) for i in worst[1:]),
    )


def ulps_between(first: Array, second: Array) -> NDArray[np.int64]:
    """Steps between two float32 arrays when all representable numbers are counted in order.

    0 and -0 are one number; -x and x are as far apart as their steps through zero.
    """

    def ordered(values: Array) -> NDArray[np.int64]:
        bits = np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)

    steps: NDArray[np.int64] = np.abs(ordered(first) - ordered(second))
    return steps
