"""Photos in batches, in their order, each failure for itself."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.prediction import Predictor
from trans3dhead.reading import photos as module
from trans3dhead.reading.photos import ReadPhoto, read_photos
from trans3dhead.reading.sources import Photo
from trans3dhead.reading.stages import Meter

from .conftest import Image, SquareEngine, find_square, squares

Read = Callable[..., list[ReadPhoto]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine photos: 0 has no head, 4 is broken, the others a square at a place of their own."""
    for number in range(9):
        boxes = [] if number == 0 else [(20 + 8 * number, 30, 50, 60)]
        cv2.imwrite(str(tmp_path / f"{number}.png"), squares(120, 160, *boxes))
    (tmp_path / "4.png").write_text("no image")
    return tmp_path


@pytest.fixture
def read(folder: Path, predictor: Predictor) -> Read:
    def run(finish: Callable[[ReadPhoto, Image], list[Path]]) -> list[ReadPhoto]:
        items = [
            Photo(path=path, name=path.name, stem=path.stem) for path in sorted(folder.iterdir())
        ]
        find = lambda name, image: find_square(image)  # noqa: E731
        return list(read_photos(items, predictor, find, finish, Meter()))

    return run


def test_heads_come_in_the_order_of_photos_and_failures_alone(
    read: Read, engine: SquareEngine
) -> None:
    found = read(lambda photo, image: [Path(photo.photo.stem)])
    assert [item.photo.name for item in found] == [f"{n}.png" for n in range(9)]
    assert [item.photo.name for item in found if item.error] == ["4.png"]
    assert "not an image" in found[4].error
    assert "\n" not in found[4].error
    assert [len(item.heads) for item in found] == [0, 1, 1, 1, 0, 1, 1, 1, 1]
    for number, item in enumerate(found):
        for head in item.heads:
            assert head.bbox == (20 + 8 * number, 30, 50, 60)
            assert item.files == [Path(str(number))]
            assert item.image_hw == (120, 160)
    assert engine.batches == [4, 3]  # seven heads, four a batch


def test_what_cannot_be_written_fails_its_photo_alone(read: Read) -> None:
    def finish(photo: ReadPhoto, image: Image) -> list[Path]:
        if photo.photo.stem == "2":
            raise OSError("the disk\nis full")
        if photo.photo.stem == "3":
            raise UserError("no such thing")
        return []

    found = read(finish)
    assert found[2].error == "the disk is full"
    assert found[3].error == "no such thing"
    assert not found[1].error
    assert not found[5].error


def test_a_large_photo_does_not_wait_in_memory_and_is_drawn_all_the_same(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 120 * 160 - 1)
    drawn = []
    found = read(lambda photo, image: drawn.append(image.shape) or [])
    assert all(item.image is None for item in found)
    assert drawn == [(120, 160, 3)] * 7


def test_photos_without_heads_are_not_gathered_without_end(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    given = []

    def items():
        for number in range(100):
            given.append(number)
            yield Photo(path=tmp_path / "a.png", name="a", stem="a")

    found = read_photos(
        items(), predictor, lambda name, image: [], lambda photo, image: [], Meter()
    )
    next(found)
    assert len(given) < 40
    found.close()
