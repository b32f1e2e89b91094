"""All metrics of a batch of images, one value each.

n images, V vertices. Degenerate input never becomes a silent NaN: it is a UserError that names the
item, the metric and the cause, or a value that the metric's docstring states.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from trans3dhead.data.camera import to_camera
from trans3dhead.head.surface import LANDMARK_COUNT, VERTEX_COUNT, HeadSurface
from trans3dhead.metrics.chamfer import chamfer
from trans3dhead.metrics.depth_order import DepthOrder, defined_order, published_order
from trans3dhead.metrics.landmarks import nme
from trans3dhead.metrics.pose import pose_error
from trans3dhead.metrics.table import METRICS

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The answers for n images. What a network or an engine does not give is None."""

    landmarks: Array | None
    """[n, 68, 2] pixels of the full image, from the landmark branch."""
    vertices: Array | None
    """[n, V, 3] posed: image axes, metres."""
    rotation: Array | None
    """[n, 3, 3] model space to image axes."""


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """The annotations of n images."""

    landmarks: Array
    """[n, 68, 2] pixels of the full image."""
    bbox: Array
    """[n, 4] x, y, w, h, pixels of the full image."""
    model_view: Array
    """[n, 4, 4] model space to the camera (`data.camera`)."""
    vertices: Array
    """[n, V, 3] model space, metres."""
    item_ids: tuple[str, ...] | None = None
    """Names for errors; positions where there are none."""
    orders: dict[tuple[str, int], DepthOrder] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Z5's pairs by metric and image, once they were needed: most of its work, and the same for
    every prediction. 110 KB an image."""

    def __len__(self) -> int:
        return len(self.landmarks)

    def name(self, index: int) -> str:
        """What an error calls image `index`."""
        return f"item {index if self.item_ids is None else self.item_ids[index]}"


_SHAPES: dict[str, tuple[int, ...]] = {
    "landmarks": (LANDMARK_COUNT, 2),
    "vertices": (VERTEX_COUNT, 3),
    "rotation": (3, 3),
    "bbox": (4,),
    "model_view": (4, 4),
}
"""Of one image, by field."""


@dataclass(frozen=True)
class _Measure:
    """How a metric is taken from one image."""

    predicted: str
    """The field of Predicted it reads."""
    true: tuple[str, ...]
    """The fields of GroundTruth it reads."""
    take: Callable[[Array, GroundTruth, int, HeadSurface], float]
    """(that field of the image's prediction, truth, image, head) to the value."""


def _z5(
    name: str, dtype: type[np.floating], order: Callable[[Array, Array], DepthOrder]
) -> Callable[[Array, GroundTruth, int, HeadSurface], float]:
    def z5(predicted: Array, truth: GroundTruth, index: int, head: HeadSurface) -> float:
        subset, key = head.subset_head_with_ears, (name, index)
        if key not in truth.orders:
            truth.orders[key] = order(truth.vertices[index][subset], truth.model_view[index])
        return truth.orders[key].share(predicted[subset, 2].astype(dtype))

    return z5


def chamfer_of(
    predicted: Array, landmarks: Array, truth: GroundTruth, index: int, head: HeadSurface
) -> float:
    """Chamfer of one image, for a mesh of any kind.

    Args:
        predicted: [N, 3] points of the predicted head.
        landmarks: [7, 3] of `head.surface.LANDMARKS_7` in the same frame.
        truth, index: which image.
        head: of the truth.
    """
    true = to_camera(truth.vertices[index], truth.model_view[index])
    (true_landmarks,) = head.landmarks7(true[None])
    return chamfer(predicted, landmarks, true[head.subset_face], true_landmarks)


def _chamfer(predicted: Array, truth: GroundTruth, index: int, head: HeadSurface) -> float:
    predicted = predicted.astype(np.float64)
    (landmarks,) = head.landmarks7(predicted[None])
    return chamfer_of(predicted, landmarks, truth, index, head)


_MEASURES = {
    "nme": _Measure(
        "landmarks",
        ("landmarks", "bbox"),
        lambda predicted, truth, i, _: nme(predicted, truth.landmarks[i], truth.bbox[i]),
    ),
    "z5_published": _Measure(
        "vertices", ("vertices", "model_view"), _z5("z5_published", np.float32, published_order)
    ),
    "z5_defined": _Measure(
        "vertices", ("vertices", "model_view"), _z5("z5_defined", np.float64, defined_order)
    ),
    "chamfer": _Measure("vertices", ("vertices", "model_view"), _chamfer),
    "pose_error": _Measure(
        "rotation",
        ("model_view",),
        lambda predicted, truth, i, _: pose_error(predicted, truth.model_view[i]),
    ),
}
assert list(_MEASURES) == list(METRICS)


def not_computable(predicted: Predicted) -> dict[str, str]:
    """The metrics that `per_image` leaves out, each with the reason."""
    return {
        name: f"the prediction has no {measure.predicted}"
        for name, measure in _MEASURES.items()
        if getattr(predicted, measure.predicted) is None
    }


def per_image(
    predicted: Predicted,
    truth: GroundTruth,
    head: HeadSurface,
    seconds: dict[str, float] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """The metrics of n images.

    Args:
        predicted: what was answered.
        truth: what is right, in the same order.
        head: landmarks and subsets of the mesh that both have.
        seconds: the time each metric took is added here.

    Returns:
        Metric of METRICS to [n] float64, finite. Those of `not_computable` are absent.

    Raises:
        UserError: shapes do not fit, an array holds NaN or infinity, or an image is degenerate
            (each metric says what it refuses). Names the item and the metric.
    """
    values = {}
    for name, measure in _MEASURES.items():
        answers = getattr(predicted, measure.predicted)
        if answers is None:
            continue
        start = time.perf_counter()
        _check(f"predicted {measure.predicted}", answers, measure.predicted, name, truth)
        for true in measure.true:
            _check(f"true {true}", getattr(truth, true), true, name, truth)
        values[name] = np.empty(len(truth), np.float64)
        for i, answer in enumerate(answers):
            try:
                values[name][i] = measure.take(answer, truth, i, head)
            except UserError as error:
                raise UserError(f"{truth.name(i)}, {METRICS[name].label}: {error}") from error
        if seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
    return values


def _check(what: str, array: Array, field: str, metric: str, truth: GroundTruth) -> None:
    """UserError where an array has not the shape its field has, or holds what is no number."""
    label, expected = METRICS[metric].label, (len(truth), *_SHAPES[field])
    if array.shape != expected:
        raise UserError(
            f"{label}: {what} came as {list(array.shape)}; expected {list(expected)}; "
            "give one for each image"
        )
    broken = ~np.isfinite(array).reshape(len(truth), -1).all(axis=1)
    if broken.any():
        raise UserError(
            f"{truth.name(int(broken.argmax()))}, {label}: {what} hold NaN or infinity "
            f"({int(broken.sum())} of {len(truth)} images); expected numbers; "
            "look at what gave them"
        )
