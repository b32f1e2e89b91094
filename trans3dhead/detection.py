"""Finding heads in an image: OpenCV's YuNet where its file is given, its Haar cascades otherwise.

Detectors answer with faces; the network wants the whole head (skull to chin, as DAD-3DHeads
annotates it), so every box grows by fixed shares of its own width and height.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError, one_line
from trans3dhead.data.crop import BBox, Offsets

Image = NDArray[np.uint8]

LONGEST = 800
"""Larger images are shrunk to it for the search; the boxes are in pixels of the full image."""
SMALLEST_FACE = 32
"""Pixels of the shrunk image: 4 % of the longest side."""
SAME_HEAD = 0.3
"""Intersection over union from which two boxes are one head's."""

HAAR_GROWTH: dict[str, Offsets] = {
    "haarcascade_frontalface_default.xml": (0.0, 0.33, 0.0, 0.17),
    "haarcascade_profileface.xml": (-0.17, 0.10, 0.03, 0.02),
}
"""Cascade to (left, top, right, bottom): between median and mean of annotated head against found
face over 300 rendered heads (127 found by the first, 54 by the second)."""
YUNET_GROWTH: Offsets = (0.13, 0.18, 0.13, 0.02)
"""Of a box from forehead to chin, as WIDER FACE draws them, to the head: the median of 141 rendered
frontal heads. Not measured with YuNet itself, whose file does not ship."""
YUNET_SCORE = 0.7


class Detector(Protocol):
    """Finds heads. May be called from several threads."""

    name: str

    def __call__(self, image: Image) -> list[BBox]:
        """(x, y, w, h) of the whole heads in an image [H, W, 3] uint8 RGB, the surest first."""


def open_detector(model: Path | None) -> Detector:
    """YuNet from its ONNX file, or OpenCV's bundled Haar cascades where there is none.

    Raises:
        UserError: the file is missing or is no YuNet.
    """
    return HaarDetector() if model is None else YuNetDetector(model)


class HaarDetector:
    """Frontal faces, then both profiles: upright ones of at least 4 % of the longest side.

    Raises:
        UserError: this OpenCV has no cascades, as from version 5 on.
    """

    name = "haar"

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise UserError(
                f"OpenCV {cv2.__version__} has no cascade classifier; expected OpenCV 4 where no "
                "--detector is given; install it with `pip install 'opencv-python-headless<5'`, or "
                "give YuNet's file"
            )
        # A cascade keeps its search in itself: each thread has its own.
        self._own = threading.local()

    def __call__(self, image: Image) -> list[BBox]:
        small, scale = _shrunk(image)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        mirrored = np.ascontiguousarray(grey[:, ::-1])
        (frontal, front), (profile, side) = zip(self._cascades(), HAAR_GROWTH.values(), strict=True)
        heads = [_grown(box, front) for box in _faces(frontal, grey)]
        heads += [_grown(box, side) for box in _faces(profile, grey)]
        for box in _faces(profile, mirrored):
            x, y, w, h = _grown(box, side)
            heads.append((grey.shape[1] - x - w, y, w, h))
        return [_scaled(box, scale) for box in distinct(heads)]

    def _cascades(self) -> "Sequence[cv2.CascadeClassifier]":
        if not hasattr(self._own, "cascades"):
            folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
            self._own.cascades = [cv2.CascadeClassifier(str(folder / name)) for name in HAAR_GROWTH]
        return self._own.cascades


class YuNetDetector:
    """YuNet (OpenCV zoo, `face_detection_yunet_*.onnx`), run by OpenCV."""

    name = "yunet"

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise UserError(
                f"no detector file {model}; expected YuNet's face_detection_yunet_*.onnx from "
                "OpenCV's model zoo; give its path, or leave --detector out for the Haar cascades"
            )
        self._model = str(model)
        self._own = threading.local()
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise UserError(
                f"{model} is no YuNet that OpenCV {cv2.__version__} runs ({one_line(error):.160}); "
                "expected face_detection_yunet_*.onnx; give that, or leave --detector out"
            ) from error

    def __call__(self, image: Image) -> list[BBox]:
        small, scale = _shrunk(image)
        height, width = small.shape[:2]
        if not hasattr(self._own, "network"):
            self._own.network = cv2.FaceDetectorYN.create(
                self._model, "", (width, height), YUNET_SCORE
            )
        network = self._own.network
        network.setInputSize((width, height))
        _, found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if found is None:
            return []
        # Each row: x, y, w, h, five points, score.
        faces = sorted(found.tolist(), key=lambda row: -row[-1])
        heads = [_grown((x, y, w, h), YUNET_GROWTH) for x, y, w, h, *_ in faces]
        return [_scaled(box, scale) for box in distinct(heads)]


def overlap(first: BBox, second: BBox) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = first, second
    width = min(ax + aw, bx + bw) - max(ax, bx)
    height = min(ay + ah, by + bh) - max(ay, by)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (aw * ah + bw * bh - width * height)


def distinct(boxes: Sequence[BBox]) -> list[BBox]:
    """The boxes without those that overlap an earlier one."""
    kept: list[BBox] = []
    for box in boxes:
        if all(overlap(box, other) < SAME_HEAD for other in kept):
            kept.append(box)
    return kept


def _faces(cascade: "cv2.CascadeClassifier", grey: NDArray[np.uint8]) -> list[BBox]:
    """The larger faces first."""
    smallest = (SMALLEST_FACE, SMALLEST_FACE)
    found = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=smallest)
    boxes = [(float(x), float(y), float(w), float(h)) for x, y, w, h in found]
    return sorted(boxes, key=lambda box: -box[2])


def _shrunk(image: Image) -> tuple[Image, float]:
    """The image with no side above `LONGEST`, and full pixels per pixel of it."""
    scale = max(image.shape[:2]) / LONGEST
    if scale <= 1:
        return image, 1.0
    size = [max(round(side / scale), 1) for side in (image.shape[1], image.shape[0])]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _grown(box: BBox, growth: Offsets) -> BBox:
    (x, y, w, h), (left, top, right, bottom) = box, growth
    return x - left * w, y - top * h, w * (1 + left + right), h * (1 + top + bottom)


def _scaled(box: BBox, scale: float) -> BBox:
    x, y, w, h = box
    return x * scale, y * scale, w * scale, h * scale
