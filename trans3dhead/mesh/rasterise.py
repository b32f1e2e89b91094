"""What a mesh looks like from the camera: scan conversion with a depth buffer, in numpy.

A triangle becomes the rows it crosses, each row a span of pixels, all triangles at once; of the
spans over one pixel the nearest stays. A pixel belongs to a triangle when its centre lies inside,
edges half open, so two triangles never share one and never leave a gap. Values go linearly over
the pixels of a triangle, which at a few pixels a triangle is as good as in perspective.

Letters: T triangles facing the camera, S spans (a row of a triangle), N pixels of all spans,
M pixels covered, C values a vertex.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

_NOTHING = np.iinfo(np.int64).max
_SMALLEST_AREA = 1e-6  # square pixels, doubled; anything less covers no pixel centre worth having
_HALF = np.float32(0.5)


class _Triangles(NamedTuple):
    """Triangles that face the camera, [T] each: corners, and the way from the first to others."""

    a: Indices
    b: Indices
    c: Indices
    to_b: tuple[Floats, Floats]
    to_c: tuple[Floats, Floats]
    area: Floats


class _Spans(NamedTuple):
    """Rows of pixels, [S] each."""

    triangle: Indices
    row: Indices
    first: Indices
    """First column."""
    length: Indices
    """Pixels, above 0."""


def rasterise(
    points: Floats, depth: Floats, faces: Indices, values: Floats, image_hw: tuple[int, int]
) -> tuple[NDArray[np.int64], Floats]:
    """Scan-convert the triangles that face the camera.

    Args:
        points: [V, 2] pixels (x, y), y down, pixel k covering [k, k + 1).
        depth: [V] distance from the camera, above 0.
        faces: [F, 3] vertices, counter-clockwise seen from outside.
        values: [V, C] to interpolate.
        image_hw: (height, width) of the image, pixels.

    Returns:
        The covered pixels [M] as row * width + column, ascending, and their values [M, C].
    """
    x, y = np.ascontiguousarray(points.T)
    triangles = _facing(x, y, faces)
    spans = _spans(x, y, triangles, image_hw)
    if not len(spans.row):
        return np.zeros(0, np.int64), np.zeros((0, values.shape[1]), np.float32)
    start, step = _along_spans(x, y, triangles, spans, np.concatenate([depth[None], values.T]))
    begin = spans.row * np.int32(image_hw[1]) + spans.first
    pixel, span = _nearest(begin, spans.length, start[0], step[0])
    steps = (pixel - begin[span]).astype(np.float32)
    # channels[c, m] = start[c, span[m]] + step[c, span[m]] * steps[m]
    channels = np.take(start[1:], span, axis=1) + np.take(step[1:], span, axis=1) * steps
    return pixel, channels.T


def _facing(x: Floats, y: Floats, faces: Indices) -> _Triangles:
    a, b, c = faces.T
    to_b, to_c = (x[b] - x[a], y[b] - y[a]), (x[c] - x[a], y[c] - y[a])
    area = to_b[0] * to_c[1] - to_b[1] * to_c[0]
    keep = np.flatnonzero(area < -_SMALLEST_AREA)  # y points down: counter-clockwise is negative
    return _Triangles(
        a[keep],
        b[keep],
        c[keep],
        (to_b[0][keep], to_b[1][keep]),
        (to_c[0][keep], to_c[1][keep]),
        area[keep],
    )


def _spans(x: Floats, y: Floats, triangles: _Triangles, image_hw: tuple[int, int]) -> _Spans:
    """Every row of every triangle that covers the centre of a pixel."""
    height, width = image_hw
    top, middle = _upper_first(y, triangles.a, triangles.b)
    middle, low = _upper_first(y, middle, triangles.c)
    top, middle = _upper_first(y, top, middle)
    first_row = np.clip(np.ceil(y[top] - _HALF), 0, height).astype(np.int32)
    rows = np.clip(np.ceil(y[low] - _HALF), 0, height).astype(np.int32) - first_row  # [T]
    triangle = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    begin = np.cumsum(rows, dtype=np.int32) - rows
    row = np.arange(len(triangle), dtype=np.int32) + (first_row - begin)[triangle]
    with np.errstate(divide="ignore", invalid="ignore"):  # a level edge is crossed by no row
        slope_long, slope_upper, slope_lower = (
            (x[to] - x[start]) / (y[to] - y[start])
            for start, to in ((top, low), (top, middle), (middle, low))
        )
        centre = row.astype(np.float32) + _HALF
        from_top, from_middle = centre - y[top][triangle], centre - y[middle][triangle]
        top_x = x[top][triangle]
        long_side = top_x + from_top * slope_long[triangle]
        short_side = np.where(
            from_middle < 0,
            top_x + from_top * slope_upper[triangle],
            x[middle][triangle] + from_middle * slope_lower[triangle],
        )
    left, right = np.minimum(long_side, short_side), np.maximum(long_side, short_side)
    first = np.clip(np.ceil(left - _HALF), 0, width).astype(np.int32)
    length = np.clip(np.ceil(right - _HALF), 0, width).astype(np.int32) - first
    hit = np.flatnonzero(length > 0)
    return _Spans(triangle[hit], row[hit], first[hit], length[hit])


def _upper_first(y: Floats, one: Indices, other: Indices) -> tuple[Indices, Indices]:
    swap = y[one] > y[other]
    return np.where(swap, other, one), np.where(swap, one, other)


def _along_spans(
    x: Floats, y: Floats, triangles: _Triangles, spans: _Spans, values: Floats
) -> tuple[Floats, Floats]:
    """Of values [C, V], those at the first pixel of each span, and the step to the next: [C, S]."""
    # Barycentric weights are linear in x and y: w = gx * (x - ax) + gy * (y - ay).
    scale = np.float32(1) / triangles.area
    (bx, by), (cx, cy) = triangles.to_b, triangles.to_c
    at_a = np.take(values, triangles.a, axis=1)  # [C, T]
    rise_b, rise_c = (np.take(values, k, axis=1) - at_a for k in (triangles.b, triangles.c))
    step_x = rise_b * (cy * scale) - rise_c * (by * scale)  # [C, T]
    step_y = rise_c * (bx * scale) - rise_b * (cx * scale)
    of = spans.triangle
    from_x = spans.first.astype(np.float32) + _HALF - x[triangles.a][of]  # [S]
    from_y = spans.row.astype(np.float32) + _HALF - y[triangles.a][of]
    step = np.take(step_x, of, axis=1)
    start = np.take(at_a, of, axis=1) + step * from_x + np.take(step_y, of, axis=1) * from_y
    return start.astype(np.float32, copy=False), step


def _nearest(
    begin: Indices, length: Indices, depth: Floats, depth_step: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Covered pixels [M], ascending, and the span [M] that is nearest at each."""
    span = np.repeat(np.arange(len(length), dtype=np.int32), length)  # [N]
    step = np.arange(len(span), dtype=np.int32) - (np.cumsum(length, dtype=np.int32) - length)[span]
    at = depth[span] + depth_step[span] * step.astype(np.float32)
    # Bits of positive floats are ordered as the floats are: depth above, span below in one key.
    key = (at.view(np.int32).astype(np.int64) << 32) | span
    low, high = int(begin.min()), int((begin + length).max())  # no more of the image is touched
    buffer = np.full(high - low, _NOTHING)
    np.minimum.at(buffer, begin[span] + (step - low), key)
    pixel = np.flatnonzero(buffer != _NOTHING)
    return pixel + low, buffer[pixel] & 0xFFFFFFFF
