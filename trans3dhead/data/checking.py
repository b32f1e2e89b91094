"""Is a data set whole? Every broken item is found before hours are spent on the others."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import UserError
from trans3dhead.data.camera import true_rotation
from trans3dhead.data.crop import crop_box, presence
from trans3dhead.data.dad3dheads import HeadDataset, landmark_labels
from trans3dhead.head.surface import HeadSurface

AT_ONCE = 32
"""Items of a task: fewer than that are looked at in this process."""
EXTENT = (0.1, 1.0)
"""Metres that a head's longest side may have; FLAME's is about a third of one."""
ROTATION_ERROR = 1e-3
"""How far R R^T may be from the identity."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with an item."""

    item_id: str
    reasons: tuple[str, ...]


def check_dataset(
    dataset: HeadDataset,
    head: HeadSurface,
    *,
    workers: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[Fault]:
    """Read every image and annotation of a split; the items with faults.

    Beyond what reading refuses: a box that holds no pixel, a mesh that is no head in metres, a
    model view that does not rotate, landmarks of which none lies in the box, an id that stands
    twice.

    Args:
        dataset: any split; one without annotations is looked at for images and boxes.
        head: where its landmarks are.
        workers: processes; as many as there are processors where None.
        progress: called for each item.
    """
    tasks = [
        range(start, min(start + AT_ONCE, len(dataset)))
        for start in range(0, len(dataset), AT_ONCE)
    ]
    faults: list[Fault] = []
    for task, found in zip(tasks, _found(tasks, dataset, head, workers), strict=True):
        faults += found
        for _ in task:
            progress()
    counts: dict[str, int] = {}
    for item in dataset.items:
        counts[item.item_id] = counts.get(item.item_id, 0) + 1
    return faults + [
        Fault(item_id=name, reasons=(f"the id stands {count} times in the index",))
        for name, count in counts.items()
        if count > 1
    ]


def _found(
    tasks: list[range], dataset: HeadDataset, head: HeadSurface, workers: int | None
) -> Iterator[list[Fault]]:
    count = len(os.sched_getaffinity(0)) if workers is None else workers
    if len(tasks) == 1 or count == 1:
        for task in tasks:
            yield _check(task, dataset, head)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_prepare, initargs=(dataset, head)
    ) as pool:
        yield from pool.map(_check_there, tasks)


_THERE: list[Any] = []
"""In a worker: data set and head model."""


def _prepare(dataset: HeadDataset, head: HeadSurface) -> None:
    _THERE[:] = [dataset, head]


def _check_there(indices: range) -> list[Fault]:
    return _check(indices, *_THERE)


def _check(indices: range, dataset: HeadDataset, head: HeadSurface) -> list[Fault]:
    found = []
    for index in indices:
        reasons = tuple(_reasons(index, dataset, head))
        if reasons:
            found.append(Fault(item_id=dataset.items[index].item_id, reasons=reasons))
    return found


def _reasons(index: int, dataset: HeadDataset, head: HeadSurface) -> Iterator[str]:
    item, image = dataset.items[index], None
    box = None
    try:
        image = dataset.image(index)
        box = crop_box(item.bbox, image.shape[:2])
    except UserError as error:
        yield str(error)
    if item.annotation_path is None:
        return
    try:
        annotation = dataset.annotation(index)
    except UserError as error:
        yield str(error)
        return
    extent = float(np.ptp(annotation.vertices, axis=0).max())
    if not EXTENT[0] <= extent <= EXTENT[1]:
        yield f"the mesh is {extent:.3g} long; expected {EXTENT[0]} to {EXTENT[1]} metres"
    rotation = true_rotation(annotation.model_view)
    apart = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if apart > ROTATION_ERROR or np.linalg.det(rotation) < 0:
        yield f"model_view_matrix does not rotate (R R^T is off by {apart:.2g})"
    elif image is not None and box is not None:
        landmarks = landmark_labels(annotation, head, image.shape[0])
        if not np.isfinite(landmarks).all() or not presence(landmarks, box).any():
            yield "none of the 68 landmarks lies in the box; box and annotation are of two heads"
