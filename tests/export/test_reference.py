from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from export.reference import (
    Photo,
    dataset_photos,
    eager_answers,
    make_reference,
    rendered_photos,
)
from trans3dhead.data.crop import CropTransform
from trans3dhead.head.model import HeadModel
from trans3dhead.network.model import Trans3DHead
from trans3dhead.synth.dataset import write_dataset

from .conftest import IMAGE_SIZE


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, head: HeadModel) -> Path:
    root = tmp_path_factory.mktemp("heads")
    write_dataset(root, "val", 5, 1, head, workers=1)
    return root


def test_a_data_set_is_drawn_from_once_for_all(dataset: Path) -> None:
    first = [photo.item_id for photo in dataset_photos(dataset, "val", 3)]
    assert first == [photo.item_id for photo in dataset_photos(dataset, "val", 3)]
    assert len(set(first)) == 3
    everything = [photo.item_id for photo in dataset_photos(dataset, "val", 5)]
    assert everything == sorted(everything) and set(first) < set(everything)


def test_more_than_there_is_cannot_be_drawn(dataset: Path) -> None:
    with pytest.raises(UserError, match=r"--count 6 came; split val .* has 5 items"):
        list(dataset_photos(dataset, "val", 6))


def test_what_was_trained_on_is_no_reference(dataset: Path) -> None:
    with pytest.raises(UserError, match="--split train came"):
        list(dataset_photos(dataset, "train", 1))


def test_rendered_photos_are_the_same_each_time(head: HeadModel) -> None:
    first, second = (list(rendered_photos(head, 2)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.item_id == other.item_id and np.array_equal(one.image, other.image)


def test_truth_and_answers_lie_in_one_place(
    dataset: Path, network: Trans3DHead, head: HeadModel
) -> None:
    done: list[int] = []
    reference = make_reference(
        dataset_photos(dataset, "val", 4),
        network,
        head,
        size=IMAGE_SIZE,
        variant="mesh",
        done=done.append,
    )
    assert done == [1, 2, 3, 4]
    assert reference.images.shape == (4, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert reference.truth_landmarks is not None
    for row, bbox, points in zip(
        reference.crops, reference.bboxes, reference.truth_landmarks, strict=True
    ):
        x, y, w, h = bbox
        inside = (points >= [x, y]) & (points <= [x + w, y + h])
        assert inside.all()
        crop = CropTransform.from_array(row).to_crop(points)
        assert (crop > 0).all() and (crop < IMAGE_SIZE).all()
    answers = eager_answers(reference.images, network, head)
    assert all(np.array_equal(answers[name], reference.outputs()[name]) for name in answers)
    assert reference.vertices is not None and reference.projected is not None


def test_one_photo_without_truth_leaves_the_truth_out(
    dataset: Path, network: Trans3DHead, head: HeadModel
) -> None:
    def photos() -> Iterator[Photo]:
        first, second = dataset_photos(dataset, "val", 2)
        yield first
        yield Photo(item_id=second.item_id, image=second.image, bbox=second.bbox, annotation=None)

    reference = make_reference(photos(), network, head, size=IMAGE_SIZE, variant="params")
    assert reference.truth_landmarks is None and reference.truth_vertices is None
    assert reference.vertices is None and len(reference) == 2
