"""Annotations as arrays, kept beside the data set: its JSON is parsed once, not at every start.

n items, H vertices of the "head" subset. The cache's name holds a hash over everything that its
numbers follow from: head model, index, and size and time of every file. No torch here.
"""

import hashlib
import multiprocessing
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from engines.files import whole_folder
from trans3dhead.data.camera import project_to_image, true_rotation
from trans3dhead.data.dad3dheads import HeadDataset, index_file, landmark_labels, split_folder
from trans3dhead.data.images import image_size
from trans3dhead.head.model import HeadModel
from trans3dhead.head.surface import HeadSurface

SHAPE_SUBSET = "head"
"""The vertices that the losses compare (SPEC 4): flame_indices/head.npy, 3,457 of them."""
SCHEMA = 1
"""Raised when an array changes its meaning."""
PREFIX = "labels-"
NAME = re.compile(PREFIX + "[0-9a-f]{12}")
AT_ONCE = 64
"""Items of a task: fewer than that are read in this process."""
LARGE = ("vertices", "projected")
"""Gigabytes for the whole of DAD-3DHeads."""
Arrays = dict[str, NDArray[Any]]


def cached_arrays(dataset: HeadDataset, head: HeadModel) -> Arrays:
    """The labels of every item, from the cache or into it.

    A data set on a disk that cannot be written to is read anew each time.

    Returns:
        image_hw [n, 2] int64; landmarks [n, 68, 2] float64 and projected [n, H, 2] float32, pixels
        of the full image; vertices [n, H, 3] float32, model space, metres; rotation [n, 3, 3]
        float64, model space to image axes. The arrays of `LARGE` stay on the disk and are read as
        they are used.

    Raises:
        UserError: an annotation is missing or broken, or an image is missing.
    """
    place = split_folder(dataset.root, dataset.split)
    folder = place / f"{PREFIX}{_key(dataset, head)}"
    if not folder.is_dir():
        arrays = _read(dataset, head)
        if not os.access(place, os.W_OK):
            return arrays
        _remove_stale(place)
        with whole_folder(folder, replace=True) as temporary:
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array)
    return {
        path.stem: np.load(path, mmap_mode="r" if path.stem in LARGE else None)
        for path in sorted(folder.glob("*.npy"))
    }


def _key(dataset: HeadDataset, head: HeadModel) -> str:
    """Of all that the labels follow from."""
    digest = hashlib.sha256(f"{SCHEMA} {head.sha256}\n".encode())
    digest.update(index_file(dataset.root, dataset.split).read_bytes())
    for item in dataset.items:
        for path in (item.image_path, item.annotation_path):
            if path is not None and path.exists():
                found = path.stat()
                digest.update(f"{found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def _remove_stale(place: Path) -> None:
    """Remove what an earlier state of the data left."""
    for folder in place.glob(f"{PREFIX}*"):
        if NAME.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _read(dataset: HeadDataset, head: HeadModel) -> Arrays:
    """Parse every annotation, by as many processes as there are processors."""
    tasks = [
        range(start, min(start + AT_ONCE, len(dataset)))
        for start in range(0, len(dataset), AT_ONCE)
    ]
    parts = track(
        _parts(tasks, dataset, head.surface()),
        f"reading {dataset.split}",
        total=len(tasks),
        console=Console(stderr=True),
        transient=True,
    )
    gathered = list(parts)
    return {name: np.concatenate([part[name] for part in gathered]) for name in gathered[0]}


def _parts(tasks: list[range], dataset: HeadDataset, head: HeadSurface) -> Iterator[Arrays]:
    if len(tasks) == 1:
        yield _labels(tasks[0], dataset, head)
        return
    workers = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare, initargs=(dataset, head)
    ) as pool:
        yield from pool.map(_labels_there, tasks)


_THERE: list[Any] = []
"""In a worker: data set and head model."""


def _prepare(dataset: HeadDataset, head: HeadSurface) -> None:
    _THERE[:] = [dataset, head]


def _labels_there(indices: range) -> Arrays:
    return _labels(indices, *_THERE)


def _labels(indices: Iterable[int], dataset: HeadDataset, head: HeadSurface) -> Arrays:
    subset = head.subsets[SHAPE_SUBSET]
    rows = []
    for index in indices:
        annotation = dataset.annotation(index)
        height, width = image_size(dataset.items[index].image_path)
        vertices = annotation.vertices[subset]
        camera = annotation.model_view, annotation.projection
        rows.append(
            {
                "image_hw": np.array([height, width], np.int64),
                "landmarks": landmark_labels(annotation, head, height),
                "vertices": vertices,
                "projected": project_to_image(vertices, *camera, height).astype(np.float32),
                "rotation": true_rotation(annotation.model_view),
            }
        )
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
