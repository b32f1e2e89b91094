"""DAD-3DHeads on disk (SPEC 5): `ROOT/DAD-3DHeadsDataset/SPLIT/{SPLIT.json,images,annotations}`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from trans3dhead.data.camera import project_to_image
from trans3dhead.data.crop import BBox
from trans3dhead.data.images import read_rgb

if TYPE_CHECKING:
    from trans3dhead.head.surface import HeadSurface

DATASET_FOLDER = "DAD-3DHeadsDataset"
SPLITS = ("train", "val", "test")
VERTEX_SHAPE = (5023, 3)


def split_folder(root: Path, split: str) -> Path:
    """Folder of a split: it holds `images/`, `annotations/` and the index."""
    return root / DATASET_FOLDER / split


def index_file(root: Path, split: str) -> Path:
    """The index of a split: a JSON list of its items."""
    return split_folder(root, split) / f"{split}.json"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One head of one image, as the index lists it."""

    item_id: str
    image_path: Path
    annotation_path: Path | None
    """None in a split without ground truth (the benchmark's test split)."""
    bbox: BBox
    """(x, y, w, h) of the head, pixels of the full image."""
    attributes: dict[str, str | bool]
    """quality, gender, expression, age, occlusions, pose, standard light; may be empty."""


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """The ground truth of one head."""

    vertices: NDArray[np.float32]
    """[5023, 3] model space, metres: with expression and jaw, without rotation."""
    model_view: NDArray[np.float64]
    """[4, 4] from model space to the camera."""
    projection: NDArray[np.float64]
    """[4, 4] from the camera to pixels with y up (`data.camera`)."""


class HeadDataset:
    """A split of a data set in the layout of DAD-3DHeads.

    The index is read and checked at once; images and annotations are read when asked for.

    Args:
        root: the folder that holds `DAD-3DHeadsDataset`.
        split: "train", "val" or "test".

    Raises:
        UserError: the folder, the split or its index is missing or broken.
    """

    def __init__(self, root: Path, split: str) -> None:
        self.root = root
        self.split = split
        self.items = _read_index(root, split)

    def __len__(self) -> int:
        return len(self.items)

    def image(self, index: int) -> NDArray[np.uint8]:
        """The full image, [H, W, 3] uint8 RGB; UserError when it is missing or broken."""
        return read_rgb(self.items[index].image_path)

    def annotation(self, index: int) -> Annotation:
        """The ground truth; UserError when it is missing or broken."""
        item = self.items[index]
        if item.annotation_path is None:
            raise UserError(
                f"item {item.item_id} of split {self.split} has no annotation; expected ground "
                "truth; use a split that has it (train or val)"
            )
        return read_annotation(item.annotation_path)

    def labels(self, index: int, head: "HeadSurface") -> NDArray[np.float64]:
        """The 68 landmarks [68, 2] in pixels of the full image, by `landmark_labels`."""
        height = self.image(index).shape[0]
        return landmark_labels(self.annotation(index), head, height)


def landmark_labels(
    annotation: Annotation, head: "HeadSurface", height: int
) -> NDArray[np.float64]:
    """The 68 landmarks [68, 2] of an annotation, pixels of a full image of that height.

    The 3D point is interpolated first, then projected (SPEC 3).
    """
    points = head.landmarks68(annotation.vertices[None])[0]
    return project_to_image(points, annotation.model_view, annotation.projection, height)


def read_annotation(path: Path) -> Annotation:
    """Read one annotation file.

    Raises:
        UserError: missing, not JSON, or an array is absent, of a wrong shape or not finite.
    """
    data = _read_json(path)
    if not isinstance(data, dict):
        raise UserError(
            f"annotation {path} holds a {type(data).__name__}; expected an object with vertices, "
            "model_view_matrix and projection_matrix; restore the file"
        )
    return Annotation(
        vertices=_array(path, data, "vertices", VERTEX_SHAPE).astype(np.float32),
        model_view=_array(path, data, "model_view_matrix", (4, 4)),
        projection=_array(path, data, "projection_matrix", (4, 4)),
    )


def _read_index(root: Path, split: str) -> list[Item]:
    if split not in SPLITS:
        raise UserError(f"split is {split!r}; expected one of {', '.join(SPLITS)}; name one")
    if not (root / DATASET_FOLDER).is_dir():
        raise UserError(
            f"{root} holds no folder {DATASET_FOLDER}; expected the folder around it; give that, "
            "or make images with `trans3dhead synth`"
        )
    path = index_file(root, split)
    if not path.is_file():
        raise UserError(
            f"no split {split} in {root}: {path} is missing; expected the split's index; "
            f"{_present_splits(root)}"
        )
    entries = _read_json(path)
    if not isinstance(entries, list) or not entries:
        raise UserError(
            f"index {path} holds no list of items; expected a JSON list with at least one; restore "
            "the file"
        )
    return [_item(root, path, number, entry) for number, entry in enumerate(entries)]


def _present_splits(root: Path) -> str:
    present = [split for split in SPLITS if index_file(root, split).is_file()]
    return f"present: {', '.join(present)}" if present else "restore the data set"


def _item(root: Path, path: Path, number: int, entry: Any) -> Item:
    """Check one entry of the index. `img_path` and `annotation_path` are relative to `root`."""
    where = f"item {number} of {path}"
    if not isinstance(entry, dict):
        raise UserError(f"{where} is {entry!r:.40}; expected an object; restore the file")
    if missing := [key for key in ("item_id", "img_path", "bbox") if key not in entry]:
        raise UserError(
            f"{where} has no {', '.join(missing)}; expected item_id, img_path and bbox; restore "
            "the file"
        )
    annotation_path = entry.get("annotation_path")
    attributes = entry.get("attributes")
    return Item(
        item_id=str(entry["item_id"]),
        image_path=root / str(entry["img_path"]),
        annotation_path=None if annotation_path is None else root / str(annotation_path),
        bbox=bbox_of_json(where, entry["bbox"]),
        attributes=attributes if isinstance(attributes, dict) else {},
    )


def bbox_of_json(where: str, value: Any) -> BBox:
    """(x, y, w, h) of a JSON list of four numbers; a UserError that names `where` otherwise."""
    numbers = value if isinstance(value, list) else []
    valid = len(numbers) == 4 and all(
        isinstance(number, int | float) and math.isfinite(number) for number in numbers
    )
    if not valid or numbers[2] <= 0 or numbers[3] <= 0:
        raise UserError(
            f"{where} has the bbox {value!r:.60}; expected finite [x, y, w, h], w and h above 0; "
            "correct the item"
        )
    x, y, w, h = (float(number) for number in numbers)
    return x, y, w, h


def _array(
    path: Path, data: dict[str, Any], key: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    expected = f"expected finite numbers of shape {shape}; restore the file"
    if key not in data:
        raise UserError(f"annotation {path} has no {key}; {expected}")
    try:
        array = np.asarray(data[key], np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{key} in annotation {path} is no array of numbers; {expected}") from error
    if array.shape != shape:
        raise UserError(f"{key} in annotation {path} has shape {array.shape}; {expected}")
    if not np.isfinite(array).all():
        raise UserError(f"{key} in annotation {path} holds numbers that are not finite; {expected}")
    return array


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); expected a JSON file; restore it"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{path} is not JSON ({error}); expected a whole file; restore it"
        ) from error
