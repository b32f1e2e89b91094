"""A data set of two small images in the layout of DAD-3DHeads."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


@pytest.fixture
def annotation_data() -> dict[str, Any]:
    """An annotation as the JSON file holds it: a camera 2 m away, turned a little."""
    rng = np.random.default_rng(5)
    angle = 0.3
    model_view = np.eye(4)
    model_view[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [0, 1, 0],
        [-np.sin(angle), 0, np.cos(angle)],
    ]
    model_view[:3, 3] = [0.01, -0.02, -2.0]
    projection = [[900.0, 0, -60, 0], [0, 900.0, -40, 0], [0, 0, -1.2, -0.2], [0, 0, -1, 0]]
    return {
        "vertices": rng.uniform(-0.1, 0.1, (5023, 3)).round(6).tolist(),
        "model_view_matrix": model_view.tolist(),
        "projection_matrix": projection,
    }


@pytest.fixture
def dataset_root(tmp_path: Path, annotation_data: dict[str, Any]) -> Path:
    """The folder that holds `DAD-3DHeadsDataset`, with a train split of two items, 80 x 120."""
    folder = tmp_path / "DAD-3DHeadsDataset" / "train"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    index = []
    for number, item_id in enumerate(["first", "second"]):
        image = np.zeros((80, 120, 3), np.uint8)
        image[..., 2] = 200  # red, in OpenCV's order
        cv2.imwrite(str(folder / "images" / f"{item_id}.png"), image)
        (folder / "annotations" / f"{item_id}.json").write_text(json.dumps(annotation_data))
        index.append(
            {
                "item_id": item_id,
                "annotation_path": f"DAD-3DHeadsDataset/train/annotations/{item_id}.json",
                "img_path": f"DAD-3DHeadsDataset/train/images/{item_id}.png",
                "bbox": [10 + number, 12, 50.5, 40],
                "attributes": {"quality": "hq", "pose": "front", "occlusions": False},
            }
        )
    (folder / "train.json").write_text(json.dumps(index))
    return tmp_path
