"""Boxes of many photos in each layout, and what is wrong with a broken one."""

import json
from pathlib import Path

import pytest

from engines.errors import UserError
from trans3dhead.reading.boxes import boxes_of, read_boxes

ONE, TWO = (1.0, 2.0, 30.0, 40.0), (5.5, 6.0, 70.0, 80.0)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("b.json", json.dumps({"a.png": ONE, "sub/b.png": [ONE, TWO]})),
        ("b.csv", "name,x,y,w,h\na.png,1,2,30,40\nsub/b.png,1,2,30,40\n\nsub/b.png,5.5,6,70,80\n"),
        ("b.csv", "\ufeffa.png, 1, 2, 30, 40\nsub/b.png,1,2,30,40\nsub/b.png,5.5,6,70,80"),
    ],
)
def test_layouts(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    boxes = read_boxes(path)
    assert boxes_of(boxes, "a.png", path) == [ONE]
    assert boxes_of(boxes, "photos/a.png", path) == [ONE]
    assert boxes_of(boxes, "sub/b.png", path) == [ONE, TWO]
    with pytest.raises(UserError, match=r"names no box for c\.png; expected one; add it"):
        boxes_of(boxes, "c.png", path)


def test_an_index_of_dad_3dheads_and_stems(tmp_path: Path) -> None:
    index = [{"img_path": "DAD/val/a.png", "bbox": [1, 2, 30, 40], "item_id": "a"}]
    path = written(tmp_path, "val.json", json.dumps(index))
    assert boxes_of(read_boxes(path), "elsewhere/a.png", path) == [ONE]
    path = written(tmp_path, "s.json", json.dumps({"a": ONE}))
    assert boxes_of(read_boxes(path), "elsewhere/a.png", path) == [ONE]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.json", "{", "are no JSON"),
        ("b.json", "{}", "names no photo"),
        ("b.csv", "", "names no photo"),
        ("b.json", '{"a.png": [1, 2, 3]}', r"a\.png of .*b\.json"),
        ("b.json", '{"a.png": [1, 2, 30, null]}', r"a\.png of"),
        ("b.json", '[{"img_path": "a.png"}]', "item 0 of .* has no img_path and bbox"),
        ("b.json", "7", "item 0 of"),
        ("b.csv", "a.png,1,2,3,4\nb.png,1,2,x,4", "row 2 of"),
        ("b.csv", "a.png,1,2", "row 1 of"),
    ],
)
def test_a_broken_file_is_told_with_its_entry(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_boxes(written(tmp_path, name, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read boxes"):
        read_boxes(tmp_path / "none.json")
