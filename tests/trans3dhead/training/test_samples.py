"""Crops and their truth, and the order they come in."""

from itertools import islice

import numpy as np
import torch

from trans3dhead.data.crop import crop_box, crop_image
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.config import IMAGE_MEAN, IMAGE_STD
from trans3dhead.training.average_face import average_face
from trans3dhead.training.label_cache import SHAPE_SUBSET
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.samples import (
    CropSamples,
    EpochOrder,
    Sample,
    evaluation_batches,
    normalise,
    training_batches,
)

SIZE = 64


def assert_equal(one: Sample, other: Sample) -> None:
    assert np.array_equal(one.image, other.image)
    assert one.item == other.item
    for name, value in one.truth._asdict().items():
        assert torch.equal(value, getattr(other.truth, name)), name


def test_the_evaluation_crop_is_the_ten_per_cent_crop(heads: LabelledHeads) -> None:
    sample = CropSamples(heads, SIZE, None)[0, 5]
    item = heads.dataset.items[5]
    image = heads.dataset.image(5)
    crop, transform = crop_image(image, crop_box(item.bbox, image.shape[:2]), SIZE)
    assert np.array_equal(sample.image, crop)
    landmarks = heads.dataset.labels(5, builtin_head())
    expected = transform.to_crop(landmarks) / SIZE
    assert np.allclose(sample.truth.landmarks, expected, atol=1e-6)
    subset = builtin_head().subsets[SHAPE_SUBSET]
    assert np.array_equal(sample.truth.vertices, heads.dataset.annotation(5).vertices[subset])


def test_projected_vertices_carry_the_landmarks(heads: LabelledHeads) -> None:
    """Vertex and landmark targets come from one camera and one crop."""
    head = builtin_head()
    subset = head.subsets[SHAPE_SUBSET].tolist()
    place = {vertex: row for row, vertex in enumerate(subset)}
    inside = [
        i for i, triangle in enumerate(head.landmark_triangles) if set(triangle) <= set(place)
    ]
    assert len(inside) > 40
    truth = CropSamples(heads, SIZE, 1)[2, 3].truth
    for landmark in inside:
        rows = [place[vertex] for vertex in head.landmark_triangles[landmark]]
        weights = torch.from_numpy(head.landmark_barycentric[landmark])
        point = (truth.projected[rows] * weights[:, None]).sum(dim=0)
        # perspective: a projected mean is not the mean of projections, but triangles are small
        assert torch.allclose(point, truth.landmarks[landmark] * SIZE, atol=0.02)


def test_a_crop_depends_on_seed_epoch_and_item_alone(heads: LabelledHeads) -> None:
    samples, again = CropSamples(heads, SIZE, 1), CropSamples(heads, SIZE, 1)
    [again[0, item] for item in range(4)]
    assert_equal(samples[3, 7], again[3, 7])
    for other in (samples[4, 7], CropSamples(heads, SIZE, 2)[3, 7]):
        assert not torch.equal(samples[3, 7].truth.landmarks, other.truth.landmarks)


def test_batches_do_not_depend_on_the_number_of_workers(heads: LabelledHeads) -> None:
    samples = CropSamples(heads, SIZE, 1)
    order = EpochOrder(items=len(heads), batch=6, seed=1, steps=4)
    runs = [list(training_batches(samples, order, workers=workers)) for workers in (0, 2)]
    for one, other in zip(*runs, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.item, other.item)
        for left, right in zip(one.truth, other.truth, strict=True):
            assert torch.equal(left, right)


def test_every_epoch_shows_every_item_once_in_an_order_of_its_own() -> None:
    order = EpochOrder(items=10, batch=4, seed=0, steps=None)
    keys = [key for batch in islice(order, 5) for key in batch]
    epochs = [[item for epoch, item in keys if epoch == number] for number in (0, 1)]
    assert [sorted(items) for items in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert all(len(batch) == 4 for batch in islice(order, 5))
    assert list(islice(order, 5)) == list(EpochOrder(items=10, batch=4, seed=0, steps=5))


def test_an_order_is_taken_up_at_any_batch() -> None:
    whole = list(EpochOrder(items=10, batch=4, seed=0, steps=9))
    for start in range(10):
        assert list(EpochOrder(items=10, batch=4, seed=0, steps=9, start=start)) == whole[start:]


def test_processes_share_each_batch_without_overlap() -> None:
    whole = list(EpochOrder(items=10, batch=4, seed=0, steps=6))
    parts = [list(EpochOrder(items=10, batch=4, seed=0, steps=6, part=(r, 2))) for r in (0, 1)]
    for batch, one, other in zip(whole, *parts, strict=True):
        assert len(one) == len(other) == 2
        assert sorted(one + other) == sorted(batch)


def test_evaluation_takes_every_item_once_in_order(heads: LabelledHeads) -> None:
    batches = evaluation_batches(CropSamples(heads, SIZE, None), batch=7, workers=0)
    assert [batch.item.tolist() for batch in batches] == [
        [0, 1, 2, 3, 4, 5, 6],
        [7, 8, 9, 10, 11, 12, 13],
        [14, 15],
    ]


def test_images_are_normalised_as_imagenet() -> None:
    image = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    image[0, 0, 1] = torch.tensor([255, 0, 51], dtype=torch.uint8)
    found = normalise(image)
    assert found.shape == (1, 3, 2, 2)
    expected = (np.array([1, 0, 0.2]) - IMAGE_MEAN) / IMAGE_STD
    assert np.allclose(found[0, :, 0, 1], expected, atol=1e-6)


def test_images_beyond_the_memory_are_read_again(heads: LabelledHeads) -> None:
    kept = heads.images[2]
    heads.images[2] = None
    assert np.array_equal(heads.image(2), kept)
    heads.images[2] = kept


def test_the_average_face_is_the_plain_mean_of_the_evaluation_crops(heads: LabelledHeads) -> None:
    samples = CropSamples(heads, SIZE, None)
    total = np.zeros((68, 2))
    for item in range(len(samples)):
        total += samples[0, item].truth.landmarks.double().numpy()
    assert np.allclose(average_face(heads, SIZE), total / len(samples), atol=1e-6)


def test_landmarks_outside_the_crop_count_in_the_average_face(heads: LabelledHeads) -> None:
    before = average_face(heads, SIZE)
    heads.landmarks[4, 10] += 1e6
    after = average_face(heads, SIZE)
    heads.landmarks[4, 10] -= 1e6
    assert (after[10] > before[10] + 100).all()
    assert np.array_equal(np.delete(after, 10, 0), np.delete(before, 10, 0))
