"""Reading the layout of DAD-3DHeads, and refusing a broken one in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.data.camera import project_to_image
from trans3dhead.data.dad3dheads import HeadDataset, index_file, landmark_labels

ANNOTATION = "DAD-3DHeadsDataset/train/annotations/first.json"
IMAGE = "DAD-3DHeadsDataset/train/images/first.png"


def change_index(root: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = index_file(root, "train")
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def refused(action: Callable[[], object], *parts: str) -> None:
    """The action raises a UserError of one line in three parts that holds `parts`."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert "; expected " in message
    for part in parts:
        assert part in message


def test_reads_items_images_and_annotations(
    dataset_root: Path, annotation_data: dict[str, Any]
) -> None:
    dataset = HeadDataset(dataset_root, "train")
    assert len(dataset) == 2
    item = dataset.items[1]
    assert (item.item_id, item.bbox) == ("second", (11.0, 12.0, 50.5, 40.0))
    assert item.attributes == {"quality": "hq", "pose": "front", "occlusions": False}
    assert dataset.image(1).shape == (80, 120, 3)
    assert dataset.image(1)[0, 0].tolist() == [200, 0, 0]
    annotation = dataset.annotation(1)
    assert annotation.vertices.dtype == np.float32
    np.testing.assert_allclose(annotation.vertices, annotation_data["vertices"], atol=1e-7)
    np.testing.assert_array_equal(annotation.model_view, annotation_data["model_view_matrix"])
    np.testing.assert_array_equal(annotation.projection, annotation_data["projection_matrix"])


class MidpointHead:
    """Landmark i is the midpoint of vertices i and i + 100."""

    def landmarks68(self, vertices: np.ndarray) -> np.ndarray:
        return (vertices[:, :68] + vertices[:, 100:168]) / 2


def test_landmarks_are_interpolated_in_3d_and_then_projected(dataset_root: Path) -> None:
    dataset = HeadDataset(dataset_root, "train")
    annotation = dataset.annotation(0)
    labels = dataset.labels(0, MidpointHead())  # type: ignore[arg-type]
    middle = (annotation.vertices[7] + annotation.vertices[107]) / 2
    expected = project_to_image(middle[None], annotation.model_view, annotation.projection, 80)
    np.testing.assert_allclose(labels[7], expected[0], atol=1e-4)
    by_height = landmark_labels(annotation, MidpointHead(), 80)  # type: ignore[arg-type]
    np.testing.assert_array_equal(labels, by_height)


def test_a_split_without_ground_truth_has_images_alone(dataset_root: Path) -> None:
    change_index(dataset_root, lambda entries: [entry.pop("annotation_path") for entry in entries])
    dataset = HeadDataset(dataset_root, "train")
    assert dataset.image(0).shape == (80, 120, 3)
    refused(lambda: dataset.annotation(0), "first", "no annotation")


def test_missing_folder_and_split_are_refused(dataset_root: Path) -> None:
    refused(lambda: HeadDataset(dataset_root / "none", "train"), "DAD-3DHeadsDataset")
    refused(lambda: HeadDataset(dataset_root, "val"), "no split val", "present: train")
    refused(lambda: HeadDataset(dataset_root, "training"), "'training'", "train, val, test")


@pytest.mark.parametrize("text", ["", "[{", "[]", "{}", "[3]"])
def test_a_broken_index_is_refused(dataset_root: Path, text: str) -> None:
    index_file(dataset_root, "train").write_text(text)
    refused(lambda: HeadDataset(dataset_root, "train"), "train.json")


@pytest.mark.parametrize("key", ["item_id", "img_path", "bbox"])
def test_an_item_without_a_key_is_refused(dataset_root: Path, key: str) -> None:
    change_index(dataset_root, lambda entries: entries[1].pop(key))
    refused(lambda: HeadDataset(dataset_root, "train"), "item 1 of", f"no {key}")


@pytest.mark.parametrize("bbox", [[1, 2, 3], [1, 2, 0, 4], [1, 2, float("nan"), 4], "box", None])
def test_a_broken_bbox_is_refused(dataset_root: Path, bbox: Any) -> None:
    change_index(dataset_root, lambda entries: entries[0].update(bbox=bbox))
    refused(lambda: HeadDataset(dataset_root, "train"), "item 0 of", "bbox")


def test_a_missing_or_truncated_image_is_refused(dataset_root: Path) -> None:
    dataset = HeadDataset(dataset_root, "train")
    path = dataset_root / IMAGE
    path.write_bytes(path.read_bytes()[:60])
    refused(lambda: dataset.image(0), "first.png", "cut short")
    path.unlink()
    refused(lambda: dataset.image(0), "first.png", "No such file")


def test_a_missing_or_truncated_annotation_is_refused(dataset_root: Path) -> None:
    dataset = HeadDataset(dataset_root, "train")
    path = dataset_root / ANNOTATION
    path.write_text(path.read_text()[:1000])
    refused(lambda: dataset.annotation(0), "first.json", "not JSON")
    path.write_text("[]")
    refused(lambda: dataset.annotation(0), "first.json", "list")
    path.unlink()
    refused(lambda: dataset.annotation(0), "first.json", "No such file")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("vertices", None, "no vertices"),
        ("vertices", [[0.0, 1.0, 2.0]] * 10, "shape (10, 3)"),
        ("vertices", [[0.0, float("inf"), 2.0]] * 5023, "not finite"),
        ("vertices", [[0.0, 1.0], [2.0]], "no array"),
        ("model_view_matrix", np.eye(3).tolist(), "shape (3, 3)"),
        ("projection_matrix", "matrix", "no array"),
    ],
)
def test_a_wrong_array_is_refused(dataset_root: Path, key: str, value: Any, said: str) -> None:
    path = dataset_root / ANNOTATION
    data = json.loads(path.read_text())
    if value is None:
        del data[key]
    else:
        data[key] = value
    path.write_text(json.dumps(data))
    refused(lambda: HeadDataset(dataset_root, "train").annotation(0), key, said, "first.json")
