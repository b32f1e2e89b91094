"""The bundle's reference: images never trained on, what eager PyTorch answers, and the truth.

n images, S the crop's side, V vertices, P parameters.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Reference
from engines.contract import Variant
from engines.errors import UserError
from trans3dhead.data.crop import BBox, CropTransform, crop_box, crop_image
from trans3dhead.data.dad3dheads import Annotation, HeadDataset, landmark_labels
from trans3dhead.head.layout import to_full
from trans3dhead.head.model import HeadModel, project
from trans3dhead.network.model import Trans3DHead
from trans3dhead.synth.render import render_item
from trans3dhead.training.predictor import NetworkPredictor

Array = NDArray[Any]

REFERENCE_SEED = 20250
"""Of rendered reference heads and of the choice from a data set. `synth` never renders them: its
data sets use other streams of a seed."""
EAGER_BATCH = 8
"""Images answered at once; memory, not speed, decides on a CPU."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One labelled head of one full image."""

    item_id: str
    image: NDArray[np.uint8]
    """[H, W, 3] RGB."""
    bbox: BBox
    annotation: Annotation | None


def rendered_photos(head: HeadModel, count: int) -> Iterator[Photo]:
    """Heads rendered for this purpose alone."""
    for index in range(count):
        item = render_item(head, REFERENCE_SEED, index)
        yield Photo(
            item_id=f"reference-{REFERENCE_SEED}-{index:06d}",
            image=item.image,
            bbox=item.bbox,
            annotation=item.annotation,
        )


def dataset_photos(root: Path, split: str, count: int) -> Iterator[Photo]:
    """Items of a data set, drawn once for all with `REFERENCE_SEED`.

    Raises:
        UserError: the split was trained on, is missing or broken, or has too few items.
    """
    if split == "train":
        raise UserError(
            "--split train came; expected a split the network was not trained on; give val or test"
        )
    dataset = HeadDataset(root, split)
    if len(dataset) < count:
        raise UserError(
            f"--count {count} came; split {split} of {root} has {len(dataset)} items; expected at "
            f"least as many; give `--count {len(dataset)}` or another split"
        )
    order = np.random.default_rng(REFERENCE_SEED).permutation(len(dataset))
    for index in sorted(order[:count].tolist()):
        item = dataset.items[index]
        yield Photo(
            item_id=item.item_id,
            image=dataset.image(index),
            bbox=item.bbox,
            annotation=None if item.annotation_path is None else dataset.annotation(index),
        )


def make_reference(
    photos: Iterator[Photo],
    network: Trans3DHead,
    head: HeadModel,
    *,
    size: int,
    variant: Variant,
    done: Callable[[int], None] = lambda count: None,
) -> Reference:
    """Crop the photos as evaluation does, and ask the trained network in eager float32.

    Args:
        photos: at least one.
        network: the trained one, not the deployed form.
        head: its head model.
        size: S.
        variant: "mesh" keeps vertices and projections too.
        done: called with the number of photos cropped so far.
    """
    kept: list[Photo] = []
    crops: list[NDArray[np.uint8]] = []
    transforms: list[CropTransform] = []
    truth: list[Array] = []
    for photo in photos:
        crop, transform = crop_image(photo.image, crop_box(photo.bbox, photo.image.shape[:2]), size)
        crops.append(crop)
        transforms.append(transform)
        if photo.annotation is not None:
            truth.append(landmark_labels(photo.annotation, head, photo.image.shape[0]))
        kept.append(photo)
        done(len(kept))
    annotations = [photo.annotation for photo in kept if photo.annotation is not None]
    labelled = len(annotations) == len(kept)
    images = np.stack(crops)
    return Reference(
        item_ids=np.array([photo.item_id for photo in kept]),
        images=images,
        bboxes=np.array([photo.bbox for photo in kept], np.float64),
        crops=np.stack([transform.as_array() for transform in transforms]),
        truth_landmarks=np.stack(truth) if labelled else None,
        truth_vertices=np.stack([a.vertices for a in annotations]) if labelled else None,
        truth_model_view=np.stack([a.model_view for a in annotations]) if labelled else None,
        **eager_answers(images, network, head if variant == "mesh" else None),
    )


def eager_answers(
    images: NDArray[np.uint8], network: Trans3DHead, head: HeadModel | None
) -> dict[str, Array]:
    """The contract's outputs for crops [n, S, S, 3], from the trained network in float32.

    With a head model, vertices and their projections too.
    """
    size = images.shape[1]
    predictor = NetworkPredictor(network, size)
    parts = [
        predictor.predict(images[start : start + EAGER_BATCH])
        for start in range(0, len(images), EAGER_BATCH)
    ]
    answers: dict[str, Array] = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    if head is not None:
        full = to_full(answers["params"])
        answers["vertices"] = head.posed_vertices(full)
        answers["projected"] = project(answers["vertices"], full, size)
    return answers
