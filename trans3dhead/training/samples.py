"""Crops and their truth, a pure function of (seed, epoch, item): workers and order do not matter.

S the crop's side in pixels, H vertices of the "head" subset.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from trans3dhead.data.crop import (
    EVALUATION_OFFSETS,
    crop_box,
    crop_image,
    presence,
    random_offsets,
)
from trans3dhead.head.rotation import euler_degrees
from trans3dhead.network.config import IMAGE_MEAN, IMAGE_STD
from trans3dhead.training.augmentation import change_colours, draw_turn
from trans3dhead.training.config import Augmentation
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.losses import Truth

Key = tuple[int, int]
"""(epoch, item): which crop of which item."""
CROPS, ORDER, STEPS, CHANGES = 0, 1, 2, 3
"""Streams of random numbers, so that an epoch's order, its crops, what is done to them and the
numbers drawn within a step have nothing in common."""
AS_IT_IS = Augmentation()


class Sample(NamedTuple):
    """A crop and what is right about it; in a batch everything has a first axis B."""

    image: NDArray[np.uint8] | Tensor
    """[S, S, 3] uint8 RGB."""
    truth: Truth
    item: int | Tensor
    """Its number in the data set."""


class CropSamples(Dataset[Sample]):
    """The crops of a split.

    Args:
        heads: images and labels.
        size: S.
        seed: of the crops' offsets; None for the fixed 10 % of evaluation.
        changes: what else is done to the crops, where there is a seed.
    """

    def __init__(
        self,
        heads: LabelledHeads,
        size: int,
        seed: int | None,
        changes: Augmentation = AS_IT_IS,
    ) -> None:
        self.heads = heads
        self.size = size
        self.seed = seed
        self.changes = changes

    def __len__(self) -> int:
        return len(self.heads)

    def __getitem__(self, key: Key) -> Sample:
        """The crop of an item in an epoch."""
        epoch, item = key
        offsets, changed, turn = EVALUATION_OFFSETS, None, None
        if self.seed is not None:
            offsets = random_offsets(np.random.default_rng((self.seed, CROPS, epoch, item)))
            changed = np.random.default_rng((self.seed, CHANGES, epoch, item))
            turn = draw_turn(self.changes, self.size, changed)
        heads, size = self.heads, self.size
        image = heads.image(item)
        box = crop_box(heads.dataset.items[item].bbox, image.shape[:2], offsets)
        crop, transform = crop_image(image, box, size)
        landmarks = transform.to_crop(heads.landmarks[item])
        projected = transform.to_crop(heads.projected[item])
        present, euler = presence(heads.landmarks[item], box), heads.euler[item]
        if turn is not None:
            crop = turn.image(crop)
            landmarks, projected = turn.points(landmarks), turn.points(projected)
            present &= presence(landmarks, (0, 0, size, size))
            euler = np.float32(euler_degrees(turn.rotation(heads.rotation[item])))
        if changed is not None:
            crop = change_colours(crop, self.changes, changed)
        truth = Truth(
            landmarks=torch.from_numpy(np.float32(landmarks / size)),
            presence=torch.from_numpy(present),
            vertices=torch.from_numpy(
                np.array(heads.vertices[item])
            ),  # a copy: it lies on the disk
            projected=torch.from_numpy(np.float32(projected)),
            euler=torch.from_numpy(euler),
        )
        return Sample(crop, truth, item)


class EpochOrder(Sampler[list[Key]]):
    """Full batches of keys, epoch after epoch, each in an order of its own; batches span epochs.

    Sample k belongs to epoch k // items, so a run can be taken up at any step.

    Args:
        items: in an epoch.
        batch: keys at once, those of all processes.
        seed: of the orders.
        steps: number of the batch at which to end; None for no end.
        start: number of the first batch, from 0.
        part: (rank, processes): of each batch this process gets every so-manyth key.
    """

    def __init__(
        self,
        *,
        items: int,
        batch: int,
        seed: int,
        steps: int | None,
        start: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.items = items
        self.batch = batch
        self.seed = seed
        self.steps = steps
        self.start = start
        self.part = part

    def __iter__(self) -> Iterator[list[Key]]:
        keys, (rank, processes) = self._keys(), self.part
        step = self.start
        while self.steps is None or step < self.steps:
            yield [next(keys) for _ in range(self.batch)][rank::processes]
            step += 1

    def _keys(self) -> Iterator[Key]:
        epoch, skipped = divmod(self.start * self.batch, self.items)
        while True:
            order = np.random.default_rng((self.seed, ORDER, epoch)).permutation(self.items)
            yield from ((epoch, int(item)) for item in order[skipped:])
            epoch, skipped = epoch + 1, 0


def training_batches(
    samples: CropSamples, order: EpochOrder, *, workers: int
) -> DataLoader[Sample]:
    """Batches of random crops, in an order."""
    return DataLoader(samples, batch_sampler=order, num_workers=workers)


def evaluation_batches(samples: CropSamples, *, batch: int, workers: int) -> DataLoader[Sample]:
    """Every item once, in order; the last batch may be smaller."""
    keys = [(0, item) for item in range(len(samples))]
    order = [keys[start : start + batch] for start in range(0, len(keys), batch)]
    return DataLoader(samples, batch_sampler=order, num_workers=workers)


def normalise(images: Tensor) -> Tensor:
    """[B, S, S, 3] uint8 RGB -> [B, 3, S, S] float32, less ImageNet's mean, over its deviation."""
    mean = torch.tensor(IMAGE_MEAN, device=images.device)
    std = torch.tensor(IMAGE_STD, device=images.device)
    return ((images / 255 - mean) / std).permute(0, 3, 1, 2)


def reduce(images: Tensor, factor: int) -> Tensor:
    """[B, 3, S, S] -> [B, 3, S/factor, S/factor], each pixel the mean of those it stands for."""
    return images if factor == 1 else F.avg_pool2d(images, factor)
