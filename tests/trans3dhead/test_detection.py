"""Heads are found whole, in pixels of the full image, and a detector's file is checked."""

import importlib.util
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.data.crop import BBox
from trans3dhead.detection import HaarDetector, Image, distinct, open_detector, overlap
from trans3dhead.head.builtin import builtin_head
from trans3dhead.synth.render import render_item

SEED = 21
FRONTAL = (0, 3, 6, 131)
"""Rendered heads that show their faces."""


@pytest.fixture(scope="module")
def rendered() -> list[tuple[Image, BBox]]:
    head = builtin_head()
    items = [render_item(head, SEED, index) for index in FRONTAL]
    return [(item.image, item.bbox) for item in items]


def best(found: list[BBox], bbox: BBox) -> float:
    return max((overlap(box, bbox) for box in found), default=0.0)


def test_faces_are_grown_to_whole_heads(rendered: list[tuple[Image, BBox]]) -> None:
    detect = HaarDetector()
    overlaps = [best(detect(image), bbox) for image, bbox in rendered]
    assert min(overlaps) > 0.5, overlaps
    assert np.mean(overlaps) > 0.65, overlaps


def test_the_boxes_of_a_large_image_are_in_its_own_pixels(
    rendered: list[tuple[Image, BBox]],
) -> None:
    image, bbox = rendered[-1]
    large = np.asarray(cv2.resize(image, None, fx=6, fy=6), np.uint8)
    assert best(HaarDetector()(large), tuple(6 * side for side in bbox)) > 0.6  # type: ignore[arg-type]


def test_two_heads_in_one_image(rendered: list[tuple[Image, BBox]]) -> None:
    (one, _), (two, _) = rendered[-1], rendered[0]
    height = min(one.shape[0], two.shape[0])
    assert len(HaarDetector()(np.hstack([one[:height], two[:height]]))) >= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (31, 31), (2000, 40)])
def test_an_image_without_a_head_has_none(shape: tuple[int, int]) -> None:
    assert HaarDetector()(np.full((*shape, 3), 90, np.uint8)) == []


def test_threads_may_share_a_detector(rendered: list[tuple[Image, BBox]]) -> None:
    detect, image = HaarDetector(), rendered[-1][0]
    expected, found = detect(image), []
    threads = [threading.Thread(target=lambda: found.append(detect(image))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3


def test_a_head_found_twice_counts_once() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 10, 10)) == 0
    assert distinct([(0, 0, 10, 10), (1, 1, 10, 10), (50, 0, 10, 10)]) == [
        (0, 0, 10, 10),
        (50, 0, 10, 10),
    ]


def test_a_detector_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no detector file .*; expected YuNet's"):
        open_detector(tmp_path / "none.onnx")
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"a\.onnx is no YuNet that OpenCV .* runs"):
        open_detector(tmp_path / "a.onnx")


def test_an_opencv_without_cascades_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV 5 has none; all that needs no detector works with it."""
    monkeypatch.delattr(cv2, "CascadeClassifier")
    found = importlib.util.find_spec("trans3dhead.detection")
    assert found is not None and found.loader is not None
    anew = importlib.util.module_from_spec(found)
    found.loader.exec_module(anew)  # importing it is not what fails
    with pytest.raises(UserError, match=r"has no cascade classifier; .*opencv-python-headless<5"):
        anew.open_detector(None)
