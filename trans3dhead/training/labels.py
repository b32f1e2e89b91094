"""A split's labels as arrays, read once: parsing one annotation takes longer than training on it.

n items, H vertices of the "head" subset. No torch here.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.head.model import HeadModel
from trans3dhead.head.rotation import euler_degrees
from trans3dhead.training.label_cache import cached_arrays

IMAGE_MEMORY = 3 * 2**30
"""Bytes of decoded images that are kept, so that small sets are decoded once."""
CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class LabelledHeads:
    """What training needs of every item. Pixels are those of the full image."""

    dataset: HeadDataset
    images: Sequence[NDArray[np.uint8] | None]
    """Decoded images [H, W, 3] RGB, as far as `IMAGE_MEMORY` reaches."""
    image_hw: NDArray[np.int64]
    """[n, 2] height and width."""
    landmarks: NDArray[np.float64]
    """[n, 68, 2] pixels (x, y)."""
    vertices: NDArray[np.float32]
    """[n, H, 3] model space, metres."""
    projected: NDArray[np.float32]
    """[n, H, 2] pixels (x, y) of the same vertices through the annotated camera."""
    rotation: NDArray[np.float64]
    """[n, 3, 3] model space to image axes."""
    euler: NDArray[np.float32]
    """[n, 3] pitch, yaw, roll in degrees."""

    def __len__(self) -> int:
        return len(self.images)

    def item_id(self, index: int) -> str:
        """The item's name in the data set."""
        return self.dataset.items[index].item_id

    def image(self, index: int) -> NDArray[np.uint8]:
        """[H, W, 3] uint8 RGB."""
        kept = self.images[index]
        return self.dataset.image(index) if kept is None else kept


def read_labels(
    dataset: HeadDataset, head: HeadModel, *, image_memory: int = IMAGE_MEMORY
) -> LabelledHeads:
    """Every annotation of a split, from its cache if it has one, and images while there is room.

    Args:
        dataset: a split with annotations.
        head: the head model that they belong to.
        image_memory: bytes of decoded images to keep.

    Raises:
        UserError: an annotation is missing or broken, or an image that is kept.
    """
    arrays = cached_arrays(dataset, head)
    sizes = CHANNELS * np.cumsum(arrays["image_hw"].prod(axis=1))
    kept = int(np.searchsorted(sizes, image_memory, side="right"))
    with ThreadPoolExecutor() as pool:  # decoding lets go of Python's lock
        images = list(pool.map(dataset.image, range(kept)))
    return LabelledHeads(
        dataset=dataset,
        images=[*images, *[None] * (len(dataset) - kept)],
        euler=euler_degrees(arrays["rotation"]).astype(np.float32),
        **arrays,
    )
