"""Boxes of heads from a file: which photo holds which heads, and where."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.errors import UserError
from trans3dhead.data.crop import BBox
from trans3dhead.data.dad3dheads import bbox_of_json

Boxes = Mapping[str, list[BBox]]
"""Name of a photo to (x, y, w, h) of each head, pixels of the upright photo."""

LAYOUTS = (
    "expected JSON {name: [x, y, w, h] or a list of such}, an index of DAD-3DHeads, or CSV rows "
    "name,x,y,w,h"
)


def read_boxes(path: Path) -> Boxes:
    """Read a boxes file.

    Args:
        path: a JSON object of names, a JSON list in the layout of DAD-3DHeads' index (`img_path`,
            `bbox`), or CSV with the columns name, x, y, w, h, a row a head, its header optional.

    Raises:
        UserError: the file cannot be read, or an entry is no box; says which.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read boxes {path} ({error}); {LAYOUTS}; check it") from error
    boxes = _csv(path, text) if path.suffix.lower() == ".csv" else _json(path, text)
    if not boxes:
        raise UserError(f"boxes {path} names no photo; {LAYOUTS}; fill it")
    return boxes


def boxes_of(boxes: Boxes, name: str, origin: Path) -> list[BBox]:
    """The boxes of a photo, by its path as it is reported, its file name, or its stem.

    Raises:
        UserError: the file does not name the photo.
    """
    path = Path(name)
    for key in (path.as_posix(), path.name, path.stem):
        if key in boxes:
            return boxes[key]
    raise UserError(f"{origin} names no box for {name}; expected one; add it")


def _json(path: Path, text: str) -> Boxes:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UserError(f"boxes {path} are no JSON ({error}); {LAYOUTS}; correct it") from error
    boxes: dict[str, list[BBox]] = {}
    if isinstance(data, dict):
        for name, value in data.items():
            several = isinstance(value, list) and all(isinstance(part, list) for part in value)
            entries = value if several else [value]
            boxes[name] = [bbox_of_json(f"{name} of {path}", entry) for entry in entries]
        return boxes
    for number, item in enumerate(data if isinstance(data, list) else [data]):
        where = f"item {number} of {path}"
        if not isinstance(item, dict) or not {"img_path", "bbox"} <= set(item):
            raise UserError(f"{where} has no img_path and bbox; {LAYOUTS}; correct it")
        name = Path(str(item["img_path"])).name
        boxes.setdefault(name, []).append(bbox_of_json(where, item["bbox"]))
    return boxes


def _csv(path: Path, text: str) -> Boxes:
    boxes: dict[str, list[BBox]] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        cells: list[Any] = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[1:] == ["x", "y", "w", "h"]):
            continue
        try:
            values = [float(cell) for cell in cells[1:]]
        except ValueError:
            values = cells[1:]
        boxes.setdefault(cells[0], []).append(bbox_of_json(f"row {number} of {path}", values))
    return boxes
