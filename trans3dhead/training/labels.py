"""A split's labels as arrays, read once: parsing one annotation takes longer than training on it.

n items, H vertices of the "head" subset. No torch here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from trans3dhead.data.camera import project_to_image, true_rotation
from trans3dhead.data.dad3dheads import HeadDataset, landmark_labels
from trans3dhead.head.model import HeadModel
from trans3dhead.head.rotation import euler_degrees

SHAPE_SUBSET = "head"
"""The vertices that the losses compare (SPEC 4): flame_indices/head.npy, 3,457 of them."""
IMAGE_MEMORY = 3 * 2**30
"""Bytes of decoded images that are kept, so that small sets are decoded once."""


@dataclass(frozen=True, kw_only=True)
class LabelledHeads:
    """What training needs of every item. Pixels are those of the full image."""

    dataset: HeadDataset
    images: list[NDArray[np.uint8] | None]
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


def read_labels(dataset: HeadDataset, head: HeadModel) -> LabelledHeads:
    """Read every annotation of a split, and the images while there is room.

    Raises:
        UserError: an image or annotation is missing or broken.
    """
    subset = head.subsets[SHAPE_SUBSET]
    count = len(dataset)
    images: list[NDArray[np.uint8] | None] = []
    image_hw = np.empty((count, 2), np.int64)
    landmarks = np.empty((count, 68, 2), np.float64)
    vertices = np.empty((count, len(subset), 3), np.float32)
    projected = np.empty((count, len(subset), 2), np.float32)
    rotation = np.empty((count, 3, 3), np.float64)
    room = IMAGE_MEMORY
    for index in track(
        range(count), f"reading {dataset.split}", console=Console(stderr=True), transient=True
    ):
        image, annotation = dataset.image(index), dataset.annotation(index)
        room -= image.nbytes
        images.append(image if room >= 0 else None)
        image_hw[index] = image.shape[:2]
        height, camera = image.shape[0], (annotation.model_view, annotation.projection)
        landmarks[index] = landmark_labels(annotation, head, height)
        vertices[index] = annotation.vertices[subset]
        projected[index] = project_to_image(vertices[index], *camera, height)
        rotation[index] = true_rotation(annotation.model_view)
    return LabelledHeads(
        dataset=dataset,
        images=images,
        image_hw=image_hw,
        landmarks=landmarks,
        vertices=vertices,
        projected=projected,
        rotation=rotation,
        euler=euler_degrees(rotation).astype(np.float32),
    )
