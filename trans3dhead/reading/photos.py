"""Many photos through one engine: reading and finding heads ahead of it, writing behind it."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError, one_line
from trans3dhead.data.crop import BBox
from trans3dhead.data.images import read_rgb
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.prediction import HeadCrop, Predictor
from trans3dhead.reading.sources import Photo
from trans3dhead.reading.stages import Meter, cores, ordered_map

Image = NDArray[np.uint8]
FindHeads = Callable[[str, Image], list[BBox]]
"""Name and pixels of a photo to the boxes of its heads; a UserError where they cannot be had."""

LARGE = 50_000_000
"""Pixels above which a photo is read again for drawing: its pixels do not wait in memory."""
MOST_WAITING = 16
"""Photos kept in memory for a batch to fill: many may hold no head."""


@dataclass(kw_only=True)
class ReadPhoto:
    """A photo and the heads in it, or why there are none."""

    photo: Photo
    image_hw: tuple[int, int] = (0, 0)
    image: Image | None = None
    """[H, W, 3] RGB; None where it could not be read or is `LARGE`."""
    heads: list[Prediction] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    """What was written of it."""
    error: str = ""
    """One line; empty where all went well. A photo without a head is no error."""


@dataclass(kw_only=True)
class _Loaded:
    photo: Photo
    image_hw: tuple[int, int] = (0, 0)
    image: Image | None = None
    crops: list[HeadCrop] = field(default_factory=list)
    error: str = ""


def read_photos(
    photos: Iterable[Photo],
    predictor: Predictor,
    find: FindHeads,
    finish: Callable[[ReadPhoto, Image], list[Path]],
    meter: Meter,
) -> Iterator[ReadPhoto]:
    """Read photos in their order, each failure for itself.

    Threads read files, find and cut out heads ahead of the engine, and call `finish` behind it.
    Heads of several photos go through the engine in one batch, as many as its profile's optimum.

    Args:
        find: the boxes of a photo's heads; called from several threads.
        finish: writes what is wanted of a photo with heads and names the files; called from
            several threads. A UserError or OSError fails that photo alone.
        meter: is charged with the stages read, find, crop, infer and write.

    Yields:
        Every photo, finished or failed.
    """
    workers, large = cores(), threading.Lock()

    def load(photo: Photo) -> _Loaded:
        try:
            with meter("read"):
                image = read_rgb(photo.path)
            with meter("find"):
                boxes = find(photo.name, image)
            with meter("crop"):
                crops = [predictor.crop(image, box) for box in boxes]
        except (UserError, cv2.error, MemoryError) as error:
            return _Loaded(photo=photo, error=one_line(error))
        hw = (image.shape[0], image.shape[1])
        kept = image if hw[0] * hw[1] <= LARGE else None
        return _Loaded(photo=photo, image_hw=hw, image=kept, crops=crops)

    def write(read: ReadPhoto) -> ReadPhoto:
        if read.heads:
            try:
                with meter("write"), nullcontext() if read.image is not None else large:
                    image = read_rgb(read.photo.path) if read.image is None else read.image
                    read.files = finish(read, image)
            except (UserError, OSError, cv2.error, MemoryError) as error:
                read.error = one_line(error)
        return read

    batch = predictor.engine.manifest.profiles[0].opt
    loaded = ordered_map(load, photos, workers=workers, depth=2 * workers + batch)
    answered = _infer(loaded, predictor, batch, meter)
    return ordered_map(write, answered, workers=workers, depth=2 * workers)


def _infer(
    loaded: Iterable[_Loaded], predictor: Predictor, batch: int, meter: Meter
) -> Iterator[ReadPhoto]:
    """The photos with their heads, in their order, as soon as `batch` crops are together."""
    waiting: list[_Loaded] = []
    for item in loaded:
        waiting.append(item)
        if sum(len(one.crops) for one in waiting) >= batch or len(waiting) >= MOST_WAITING:
            yield from _answer(waiting, predictor, meter)
            waiting = []
    yield from _answer(waiting, predictor, meter)


def _answer(waiting: Sequence[_Loaded], predictor: Predictor, meter: Meter) -> Iterator[ReadPhoto]:
    crops = [crop for item in waiting for crop in item.crops]
    with meter("infer"):
        heads = iter(predictor.assemble(crops, predictor.infer(crops)) if crops else [])
    for item in waiting:
        found = [next(heads) for _ in item.crops]
        yield ReadPhoto(
            photo=item.photo,
            image_hw=item.image_hw,
            image=item.image,
            heads=found,
            error=item.error,
        )
