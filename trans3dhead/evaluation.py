"""The metrics of a network or an engine over a labelled folder. Needs no torch by itself.

B images in a batch, S the crop's side in pixels, P parameters, V vertices.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from engines.batching import infer_all
from engines.errors import UserError
from engines.runtime import Engine
from trans3dhead.data.crop import CropTransform, crop_box, crop_image
from trans3dhead.data.dad3dheads import HeadDataset, Item, landmark_labels
from trans3dhead.data.images import image_size
from trans3dhead.head.layout import to_full
from trans3dhead.head.model import posed_vertices, project
from trans3dhead.head.surface import HeadSurface
from trans3dhead.metrics import METRICS, GroundTruth, Predicted, not_computable, per_image

BATCH = 16
"""Crops answered at once; the metrics do not depend on it."""


class CropPredictor(Protocol):
    """Whatever answers crops: an engine (`EnginePredictor`), a network (`NetworkPredictor`)."""

    @property
    def image_size(self) -> int:
        """S."""

    def predict(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The answers to crops [B, S, S, 3] uint8 RGB.

        Returns:
            params [B, P] and rotation [B, 3, 3]; landmarks [B, 68, 2] crop pixels unless the
            network is single-task; vertices [B, V, 3] posed metres where a graph gives them.
            A foreign model may leave out any.
        """


class EnginePredictor:
    """An opened engine as a predictor; whoever opened it closes it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.image_size = engine.contract.image.size

    def predict(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `CropPredictor.predict`."""
        return infer_all(self.engine, crops)


@dataclass(frozen=True, kw_only=True)
class ConstantAnswer:
    """The same answer to every crop: what a network has to beat."""

    landmarks: NDArray[np.floating] | None = None
    """[68, 2] in [0, 1] of the crop: the average face."""
    rotation: NDArray[np.floating] | None = None
    """[3, 3] model space to image axes: the mean pose."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The items that share a value of an attribute."""

    items: int
    means: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found. Metrics are those of METRICS."""

    item_ids: tuple[str, ...]
    per_image: dict[str, NDArray[np.float64]]
    """Metric to [n], in the order of `item_ids`."""
    absent: dict[str, str]
    """Metrics that cannot be computed, with the reason."""
    by_attribute: dict[str, dict[str, Group]]
    """Attribute to value to the items that have it."""
    baselines: dict[str, dict[str, float]]
    """Constant answer to the means of the metrics it has."""
    mesh_nme: NDArray[np.float64] | None
    """[n] NME of the mesh's own 68 landmarks through the predicted camera; None where the answers
    hold no parameters."""
    seconds: dict[str, float]
    """Stage ("reading", "inference", "mesh", "metrics", "baselines") to its time for all items."""

    @property
    def means(self) -> dict[str, float]:
        """Metric to its mean over all items."""
        return _means(self.per_image)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        groups = {
            attribute: {value: {"items": group.items, **group.means} for value, group in by.items()}
            for attribute, by in self.by_attribute.items()
        }
        values = {name: array.tolist() for name, array in self.per_image.items()}
        return {
            "items": len(self.item_ids),
            "metrics": self.means,
            "mesh_nme": None if self.mesh_nme is None else float(self.mesh_nme.mean()),
            "absent": self.absent,
            "baselines": self.baselines,
            "by_attribute": groups,
            "seconds": self.seconds,
            "per_image": {"item_ids": list(self.item_ids), **values},
        }


def evaluate(
    predictor: CropPredictor,
    dataset: HeadDataset,
    head: HeadSurface,
    *,
    limit: int | None = None,
    baselines: Mapping[str, ConstantAnswer] | None = None,
) -> Evaluation:
    """Measure a predictor on the 10 % crops of a split's items.

    Args:
        predictor: what is measured.
        dataset: a split with annotations.
        head: the mesh of predictions and annotations; a HeadModel, unless the predictor answers
            with vertices.
        limit: the first so many items alone; None for all.
        baselines: constant answers by name, measured on the same items.

    Raises:
        UserError: no annotation, a broken file, a limit below 1, or an answer that a metric
            refuses (`metrics.per_image`); names the item.
    """
    if limit is not None and limit < 1:
        raise UserError(f"the limit is {limit}; expected at least 1; raise it or leave it out")
    indices = range(len(dataset))[:limit]
    clock = _Clock()
    values: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    constant: dict[str, defaultdict[str, list[NDArray[np.float64]]]] = {
        name: defaultdict(list) for name in baselines or {}
    }
    projected: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    absent: dict[str, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"evaluating {dataset.split}", total=len(indices))
        for start in range(0, len(indices), BATCH):
            chunk = indices[start : start + BATCH]
            with clock.stage("reading"):
                crops, frames = read_crops(dataset, chunk, predictor.image_size)
                truth = truth_of(dataset, chunk, head)
            with clock.stage("inference"):
                answers = predictor.predict(crops)
            with clock.stage("mesh"):
                predicted = frames.predicted(answers, head)
            with clock.stage("metrics"):
                _extend(values, per_image(predicted, truth, head))
                _extend(projected, per_image(frames.of_mesh(answers, head), truth, head))
            with clock.stage("baselines"):
                for name, answer in (baselines or {}).items():
                    _extend(constant[name], per_image(frames.always(answer), truth, head))
            absent = not_computable(predicted)
            progress.advance(task, len(chunk))

    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    return summarise(
        [dataset.items[i] for i in indices],
        joined,
        absent,
        mesh_nme=np.concatenate(projected["nme"]) if projected else None,
        baselines={
            name: _means({metric: np.concatenate(parts) for metric, parts in found.items()})
            for name, found in constant.items()
        },
        seconds=dict(clock.seconds),
    )


def summarise(
    items: Sequence[Item],
    values: dict[str, NDArray[np.float64]],
    absent: dict[str, str],
    *,
    mesh_nme: NDArray[np.float64] | None = None,
    baselines: dict[str, dict[str, float]] | None = None,
    seconds: dict[str, float] | None = None,
) -> Evaluation:
    """An evaluation from the metrics of every item, with its groups by attribute."""
    return Evaluation(
        item_ids=tuple(item.item_id for item in items),
        per_image=values,
        absent=absent,
        by_attribute=_by_attribute([item.attributes for item in items], values),
        mesh_nme=mesh_nme,
        baselines=baselines or {},
        seconds=seconds or {},
    )


@dataclass(frozen=True)
class Frames:
    """Where a batch of crops lies in its full images."""

    transforms: list[CropTransform]

    def predicted(self, answers: Mapping[str, NDArray[Any]], head: HeadSurface) -> Predicted:
        """A predictor's answers in the frames of the metrics."""
        landmarks = answers.get("landmarks")
        return Predicted(
            landmarks=None if landmarks is None else self._to_full(landmarks),
            vertices=posed_vertices(answers, head)
            if "vertices" in answers or "params" in answers
            else None,
            rotation=answers.get("rotation"),
        )

    def of_mesh(self, answers: Mapping[str, NDArray[Any]], head: HeadSurface) -> Predicted:
        """The mesh's landmarks, projected by the predicted camera, in the place of the branch's."""
        landmarks = None
        if "params" in answers:
            params, size = to_full(answers["params"]), self.transforms[0].size
            points = head.landmarks68(posed_vertices(answers, head))  # [B, 68, 3]
            landmarks = self._to_full(project(points, params, size))
        return Predicted(landmarks=landmarks, vertices=None, rotation=None)

    def always(self, answer: ConstantAnswer) -> Predicted:
        """The same answer for every crop."""
        landmarks, rotation, count = answer.landmarks, answer.rotation, len(self.transforms)
        return Predicted(
            landmarks=None
            if landmarks is None
            else self._to_full(np.stack([landmarks * crop.size for crop in self.transforms])),
            vertices=None,
            rotation=None if rotation is None else np.stack([rotation] * count),
        )

    def _to_full(self, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Crop pixels [B, 68, 2] to pixels of the full images."""
        pairs = zip(self.transforms, landmarks, strict=True)
        return np.stack([transform.to_full(points) for transform, points in pairs])


def read_crops(
    dataset: HeadDataset, indices: Sequence[int], size: int
) -> tuple[NDArray[np.uint8], Frames]:
    """The 10 % crops [B, S, S, 3] of some items, and where they lie."""
    crops, transforms = [], []
    for index in indices:
        image = dataset.image(index)
        box = crop_box(dataset.items[index].bbox, image.shape[:2])
        crop, transform = crop_image(image, box, size)
        crops.append(crop)
        transforms.append(transform)
    return np.stack(crops), Frames(transforms)


def truth_of(dataset: HeadDataset, indices: Sequence[int], head: HeadSurface) -> GroundTruth:
    """The annotations of some items."""
    items = [dataset.items[index] for index in indices]
    annotations = [dataset.annotation(index) for index in indices]
    heights = [image_size(item.image_path)[0] for item in items]
    return GroundTruth(
        landmarks=np.stack(
            [
                landmark_labels(annotation, head, height)
                for annotation, height in zip(annotations, heights, strict=True)
            ]
        ),
        bbox=np.array([item.bbox for item in items], np.float64),
        model_view=np.stack([annotation.model_view for annotation in annotations]),
        vertices=np.stack([annotation.vertices for annotation in annotations]),
        item_ids=tuple(item.item_id for item in items),
    )


def _by_attribute(
    attributes: list[dict[str, str | bool]], values: dict[str, NDArray[np.float64]]
) -> dict[str, dict[str, Group]]:
    """Attribute to value (JSON's spelling) to its items; the values in alphabetical order."""
    members: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, known in enumerate(attributes):
        for attribute, value in known.items():
            members[attribute][str(value).lower()].append(index)
    return {
        attribute: {
            value: Group(
                items=len(indices),
                means=_means({name: array[indices] for name, array in values.items()}),
            )
            for value, indices in sorted(by_value.items())
        }
        for attribute, by_value in members.items()
    }


def _extend(
    values: defaultdict[str, list[NDArray[np.float64]]], more: dict[str, NDArray[np.float64]]
) -> None:
    for name, array in more.items():
        values[name].append(array)


def _means(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: float(values[name].mean()) for name in METRICS if name in values}


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start
