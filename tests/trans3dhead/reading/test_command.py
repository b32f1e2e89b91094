"""`predict` over a folder of 200, ten of them as folders really hold them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from trans3dhead.cli.main import main
from trans3dhead.data.images import read_rgb
from trans3dhead.prediction import Predictor

from .conftest import squares

HEIGHT, WIDTH = 120, 160
BOX = (40.0, 30.0, 50.0, 60.0)
TURNED = (30.0, 70.0, 60.0, 50.0)
"""`BOX` once the picture stands upright: a quarter turn, as EXIF orientation 8 asks for."""
LONG = (9000.0, 2.0, 12.0, 15.0)
COUNT = 200


def write(path: Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image)


def spoil(folder: Path) -> None:
    """Ten of the photos, named by what is odd about them."""
    photo = squares(HEIGHT, WIDTH, BOX)
    Pillow.fromarray(photo).save(folder / "truncated.jpg")
    whole = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    write(folder / "sixteen-bit.png", photo.astype(np.uint16) * 257)
    write(folder / "grey.png", photo[..., 0])
    Pillow.fromarray(photo).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    write(folder / "alpha.png", np.dstack([photo, np.full((HEIGHT, WIDTH), 9, np.uint8)]))
    exif = Pillow.Exif()
    exif[0x0112] = 8  # shown upright by a quarter turn to the left
    Pillow.fromarray(photo).save(folder / "exif.jpg", quality=95, exif=exif)
    write(folder / "one-pixel.png", np.full((1, 1, 3), 20, np.uint8))
    write(folder / "long.png", squares(20, 20_000, LONG))
    (folder / "text.png").write_text("this is a letter\n")
    (folder / "unreadable.png").symlink_to("gone.png")  # a mode would not stop root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    spoil(folder)
    (folder / "trip").mkdir()
    for number in range(COUNT - len(list(folder.glob("*.*")))):
        write(folder / "trip" / f"{number:03d}.png", squares(HEIGHT, WIDTH, BOX))
    (folder / "folder.png").mkdir()
    (folder / "notes.txt").write_text("not a photo")
    return folder


Run = Callable[..., tuple[int, dict[str, dict[str, Any]], dict[str, Any], str]]


@pytest.fixture
def run(
    predictor: Predictor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Exit code, JSON lines by item, report and what was printed."""
    monkeypatch.setattr(Predictor, "open", lambda *_args, **_options: predictor)

    def predict(*words: object) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any], str]:
        options = ["--engine", "any", "--out", tmp_path / "out", "--jsonl", tmp_path / "l.jsonl"]
        code = main(["predict", *map(str, [*words, *options, "--json", tmp_path / "r.json"])])
        lines = map(json.loads, (tmp_path / "l.jsonl").read_text().splitlines())
        report = json.loads((tmp_path / "r.json").read_text())
        return code, {line["item"]: line for line in lines}, report, "".join(capfd.readouterr())

    return predict


def test_odd_files_are_read_right_or_told_in_a_line_and_the_rest_is_done(
    folder: Path, run: Run, tmp_path: Path
) -> None:
    code, items, report, printed = run(folder, "--outputs", "landmarks68", "params")
    assert code == 1
    assert len(items) == COUNT
    refused = {name: item["error"] for name, item in items.items() if "error" in item}
    assert set(refused) == {"truncated.jpg", "text.png", "unreadable.png"}
    assert "cut short" in refused["truncated.jpg"]
    assert "not an image" in refused["text.png"]
    assert "No such file" in refused["unreadable.png"]
    told = [line for line in printed.splitlines() if "expected" in line]
    assert len(told) == 3  # each in one line, and nothing of the decoders' own beside them
    assert not [line for line in printed.splitlines() if "libpng" in line or "JPEG" in line[:20]]
    assert f"{COUNT - 4} of {COUNT} photos done" in printed
    assert "1 without a head, 3 failed" in printed
    assert "1 other files left alone" in printed
    assert (report["photos"], report["failed"], report["without_a_head"]) == (COUNT, 3, 1)
    assert report["heads"] == COUNT - 4
    done = [item for item in items.values() if item.get("heads")]
    assert len(done) == COUNT - 4
    for item in done:
        assert [Path(file).suffix for file in item["files"]] == [".png", ".json"]
        assert all(Path(file).is_file() for file in item["files"])


@pytest.mark.parametrize(
    ("name", "size", "box"),
    [
        ("sixteen-bit.png", (HEIGHT, WIDTH), BOX),
        ("grey.png", (HEIGHT, WIDTH), BOX),
        ("cmyk.jpg", (HEIGHT, WIDTH), BOX),
        ("alpha.png", (HEIGHT, WIDTH), BOX),
        ("exif.jpg", (WIDTH, HEIGHT), TURNED),
        ("long.png", (20, 20_000), LONG),
    ],
)
def test_what_is_odd_but_whole_is_read_as_a_person_sees_it(
    folder: Path, run: Run, name: str, size: tuple[int, int], box: tuple[float, ...]
) -> None:
    """Upright, in 8 bits of RGB; drawn at its own size."""
    code, items, _, _ = run(folder / name, "--outputs", "landmarks68")
    (item,) = items.values()
    (head,) = item["heads"]
    (drawn,) = item["files"]
    assert code == 0
    assert item["image_height_width"] == list(size)
    np.testing.assert_allclose(head["bbox_xywh"], box, atol=1)  # JPEG moves an edge
    assert read_rgb(Path(drawn)).shape == (*size, 3)
    image = read_rgb(folder / name)
    x, y, w, h = map(round, box)
    assert abs(int(image[y + h // 2, x + w // 2].mean()) - 230) < 5
    assert abs(int(image[y + h // 2, x - 15].mean()) - 20) < 5


def test_a_single_photo_without_a_head_is_told_and_is_no_failure(folder: Path, run: Run) -> None:
    code, items, _, printed = run(folder / "one-pixel.png")
    (item,) = items.values()
    assert (code, item["heads"], item["files"]) == (0, [], [])
    assert "no head found; give --bbox or --boxes" in printed
