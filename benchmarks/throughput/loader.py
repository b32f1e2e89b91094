"""How fast training crops are made: decoding, cropping, augmentation, no network.

Every image is decoded anew, as for a data set that is larger than memory; labels come from their
cache. Images a second and core is what a training needs so many cores of.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.throughput.checks import check_at_least_one, check_durations
from benchmarks.throughput.machine import MachineState, look
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.head.model import HeadModel
from trans3dhead.training.config import Augmentation
from trans3dhead.training.labels import read_labels
from trans3dhead.training.samples import CropSamples, EpochOrder, training_batches

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class LoaderReport:
    """Speeds of one loader."""

    items: int
    pixels: float
    """Of an image, mean."""
    label_seconds: float
    """To have all labels; from the cache where there was one."""
    decode_ms: float
    """Of an image, mean over one pass."""
    alone: float
    """Images a second of one process on one core."""
    workers: int
    together: float
    """Images a second of so many worker processes, batches put together."""
    before: MachineState

    @property
    def per_core(self) -> float:
        """Of the workers."""
        return self.together / self.workers

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"per_core": self.per_core}


def bench_loader(
    data: Path,
    head: HeadModel,
    *,
    split: str = "train",
    size: int = 256,
    augmentation: Augmentation | None = None,
    workers: int | None = None,
    seconds: float = 5.0,
) -> LoaderReport:
    """Time the loader of a labelled folder.

    Args:
        data: holds DAD-3DHeadsDataset.
        head: the head model of its labels.
        split: one with annotations.
        size: side of the crops, pixels.
        augmentation: what is done to them; nothing where None.
        workers: processes; as many as there are processors where None.
        seconds: of each of the two measurements.

    Raises:
        UserError: the data is missing or broken, or a number makes no sense.
    """
    check_at_least_one(workers=workers)
    check_durations(seconds=seconds)
    cores = len(os.sched_getaffinity(0)) if workers is None else workers
    before, dataset = look(), HeadDataset(data, split)
    began = time.perf_counter()
    heads = read_labels(dataset, head, image_memory=0)
    labelled = time.perf_counter() - began
    samples = CropSamples(heads, size, 0, augmentation or Augmentation())
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        few = range(min(len(dataset), BATCH))
        began = time.perf_counter()
        for index in few:
            dataset.image(index)
        decode = (time.perf_counter() - began) / len(few)
        order = EpochOrder(items=len(heads), batch=BATCH, seed=0, steps=None)
        keys = (key for batch in order for key in batch)
        alone = _rate((samples[key] for key in keys), 1, seconds)
        together = _rate(training_batches(samples, order, workers=cores), BATCH, seconds)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    return LoaderReport(
        items=len(heads),
        pixels=float(np.mean(heads.image_hw.prod(axis=1))),
        label_seconds=labelled,
        decode_ms=1000 * decode,
        alone=alone,
        workers=cores,
        together=together,
        before=before,
    )


def _rate(parts: Any, images: int, seconds: float) -> float:
    """Images a second of an iterable, its first part not counted: it starts the workers."""
    iterator: Iterator[Any] = iter(parts)
    next(iterator)
    began = time.perf_counter()
    for done in count(1):
        next(iterator)
        taken = time.perf_counter() - began
        if taken > seconds:
            return done * images / taken
    raise AssertionError("the order has no end")
