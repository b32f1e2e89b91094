"""Five annotated images of the built-in head, and a predictor that knows the answers."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trans3dhead.data.crop import crop_box, crop_transform
from trans3dhead.data.dad3dheads import HeadDataset, landmark_labels, read_annotation
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import HeadModel
from trans3dhead.head.rotation import FRONTAL, rotation_from_six_d

ITEMS, SIZE, HEIGHT, WIDTH = 5, 64, 120, 160
POSES = ("front", "sided", "front", "atypical", "front")


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return builtin_head()


@pytest.fixture(scope="session")
def params() -> np.ndarray:
    """[5, 413], somewhat varied heads."""
    rng = np.random.default_rng(4)
    params = np.tile(prior(LAYOUT_413), (ITEMS, 1))
    params[:, :20] = rng.normal(size=(ITEMS, 20))
    params[:, LAYOUT_413.rotation] += rng.normal(scale=0.2, size=(ITEMS, 6))
    return params


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, head: HeadModel, params: np.ndarray) -> Path:
    """The folder that holds `DAD-3DHeadsDataset`, with a val split of five items."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "DAD-3DHeadsDataset" / "val"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    rng = np.random.default_rng(6)
    vertices = head.model_vertices(params)
    rotation = rotation_from_six_d(params[:, LAYOUT_413.rotation].astype(np.float64))
    projection = [[900.0, 0, -80, 0], [0, 900.0, -60, 0], [0, 0, -1.2, -0.2], [0, 0, -1, 0]]
    index = []
    for number in range(ITEMS):
        item_id, model_view = f"head-{number}", np.eye(4)
        model_view[:3, :3] = FRONTAL @ rotation[number]
        model_view[:3, 3] = [0.01, -0.02, -2.0]
        annotation = {
            "vertices": vertices[number].tolist(),
            "model_view_matrix": model_view.tolist(),
            "projection_matrix": projection,
        }
        (folder / "annotations" / f"{item_id}.json").write_text(json.dumps(annotation))
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{item_id}.png"), image)
        index.append(
            {
                "item_id": item_id,
                "annotation_path": f"DAD-3DHeadsDataset/val/annotations/{item_id}.json",
                "img_path": f"DAD-3DHeadsDataset/val/images/{item_id}.png",
                "bbox": [40 + number, 10, 90.5, 80],
                "attributes": {"pose": POSES[number], "occlusions": number == 0},
            }
        )
    (folder / "val.json").write_text(json.dumps(index))
    return root


@pytest.fixture
def dataset(root: Path) -> HeadDataset:
    return HeadDataset(root, "val")


class Oracle:
    """Answers crop after crop with the truth of its item; `answers` can be spoilt by a test."""

    image_size = SIZE

    def __init__(self, dataset: HeadDataset, head: HeadModel, params: np.ndarray) -> None:
        landmarks = []
        for item in dataset.items:
            assert item.annotation_path is not None
            full = landmark_labels(read_annotation(item.annotation_path), head, HEIGHT)
            transform = crop_transform(crop_box(item.bbox, (HEIGHT, WIDTH)), SIZE)
            landmarks.append(transform.to_crop(full))
        self.answers: dict[str, Any] = {
            "landmarks": np.stack(landmarks),
            "params": params,
            "rotation": rotation_from_six_d(params[:, LAYOUT_413.rotation].astype(np.float64)),
        }
        self.asked: list[np.ndarray] = []

    def predict(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        first = sum(map(len, self.asked))
        self.asked.append(crops)
        return {name: array[first : first + len(crops)] for name, array in self.answers.items()}


@pytest.fixture
def oracle(dataset: HeadDataset, head: HeadModel, params: np.ndarray) -> Oracle:
    return Oracle(dataset, head, params)
