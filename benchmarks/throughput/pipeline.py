"""The whole way from an encoded photo to the heads in it, its stages marked as they end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from engines.files import write_whole
from engines.steps import STEPS, Mark
from trans3dhead.data.crop import BBox, crop_box
from trans3dhead.data.images import read_rgb
from trans3dhead.detection import HaarDetector
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.surface import HeadSurface
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.prediction import assemble_heads, cut_head
from trans3dhead.synth.render import render_item

DECODE, CROP, POST = "decode", "crop", "post-processing"
STAGES = (DECODE, CROP, *STEPS, POST)
"""In their order; they add up to the whole."""

Answer = Callable[[NDArray[np.uint8], Mark | None], Mapping[str, NDArray[Any]]]
"""Answers crops [B, S, S, 3] uint8 RGB by output name; marks `engines.steps.STEPS`."""

RENDERED_SIZE, RENDERED_QUALITY = 640, 95
"""Nominal side in pixels, and JPEG quality, of the photo where none is given."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image file and the head in it."""

    path: Path
    bbox: BBox
    """(x, y, w, h) around the whole head, pixels."""

    def describe(self) -> str:
        """What decoding it means: its kind and size."""
        height, width = read_rgb(self.path).shape[:2]
        kind, kilobytes = self.path.suffix.lstrip("."), self.path.stat().st_size / 1000
        return f"{kind} of {width} x {height} pixels and {kilobytes:.0f} kB"


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Reads a photo as many times as a batch is large, and predicts the heads."""

    photo: Photo
    batch: int
    size: int
    """Side of the network's crops."""
    answer: Answer
    head: HeadSurface
    gpu_milliseconds: Callable[[], float | None] = lambda: None
    """The GPU's own time of the last answer (`Engine.gpu_milliseconds`)."""

    def __call__(self, mark: Mark | None = None) -> list[Prediction]:
        """From files to predictions.

        Args:
            mark: told each of STAGES as it ends.
        """

        def tell(stage: str) -> None:
            if mark is not None:
                mark(stage)

        images = [read_rgb(self.photo.path) for _ in range(self.batch)]
        tell(DECODE)
        crops = [cut_head(image, self.photo.bbox, self.size) for image in images]
        tell(CROP)
        answers = self.answer(np.stack([crop.pixels for crop in crops]), mark)
        heads = assemble_heads(crops, answers, self.head, size=self.size)
        tell(POST)
        return heads


def find_photo(path: Path, bbox: BBox | None) -> Photo:
    """A user's photo; the detector looks for the head where no box is given.

    Raises:
        UserError: it cannot be read, or no head is found in it.
    """
    image = read_rgb(path)
    if bbox is None:
        found = HaarDetector()(image)
        if not found:
            raise UserError(
                f"no head found in {path}; expected one; give its box with --bbox X Y W H"
            )
        bbox = found[0]
    crop_box(bbox, image.shape[:2])  # one that misses the photo is refused here
    return Photo(path=path, bbox=bbox)


def render_photo(folder: Path) -> Photo:
    """A rendered head as a JPEG file: the same one each time."""
    item = render_item(builtin_head(), seed=0, index=0, size=RENDERED_SIZE)
    quality = [cv2.IMWRITE_JPEG_QUALITY, RENDERED_QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(item.image, cv2.COLOR_RGB2BGR), quality)
    write_whole(folder / "photo.jpg", encoded.tobytes())
    return Photo(path=folder / "photo.jpg", bbox=item.bbox)
