"""A video through an engine, stage by stage: decode, track (crop, infer), smooth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from trans3dhead.data.crop import BBox
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.prediction import Predictor
from trans3dhead.reading.smoothing import Smoother
from trans3dhead.reading.sources import Video
from trans3dhead.reading.stages import Meter, ahead
from trans3dhead.reading.tracking import Followed, HeadTracker

Image = NDArray[np.uint8]
AHEAD = 4
"""Frames between two stages."""
UNKNOWN_RATE = 30.0
"""Frames a second where a camera does not say."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame and the heads followed into it."""

    index: int
    image: Image
    """[H, W, 3] RGB."""
    heads: Sequence[Followed] = ()


class VideoReader:
    """An opened video file or camera; frames come upright, as the file says.

    Raises:
        UserError: it cannot be opened, or holds no frame.
    """

    def __init__(self, video: Video) -> None:
        self.video = video
        given = video.source if isinstance(video.source, int) else str(video.source)
        self._capture = cv2.VideoCapture(given)
        if not self._capture.isOpened():
            self._capture.release()
            what = f"camera {given}" if isinstance(given, int) else f"video {given}"
            raise UserError(
                f"{what} cannot be opened; expected a camera that is free, or a video that OpenCV "
                "reads; check it"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if np.isfinite(rate) and rate > 0 else UNKNOWN_RATE
        """Frames a second."""
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if count > 0 and not isinstance(given, int) else None
        """Frames as the file's header has it; None for a camera."""

    def frames(self, meter: Meter) -> Iterator[Image]:
        """[H, W, 3] uint8 RGB, one after the other; charged to the stage decode."""
        while True:
            with meter("decode"):
                going, frame = self._capture.read()
                if not going:
                    return
                image = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
            yield image

    def close(self) -> None:
        """Give the camera or file back."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_video(
    images: Iterator[Image],
    predictor: Predictor,
    tracker: HeadTracker,
    smoother: Smoother | None,
    meter: Meter,
) -> Iterator[Frame]:
    """The heads of every frame, in order; decoding and inference run ahead of the consumer.

    Args:
        images: from `VideoReader.frames`.
        tracker: new, for this video.
        smoother: new, or None for the network's answers as they are.
        meter: is charged with the stages infer and smooth.
    """

    def read(image: Image, boxes: Sequence[BBox]) -> list[Prediction]:
        with meter("infer"):
            crops = [predictor.crop(image, box) for box in boxes]
            return predictor.assemble(crops, predictor.infer(crops))

    def follow() -> Iterator[Frame]:
        for index, image in enumerate(ahead(images, AHEAD)):
            heads = tracker.follow(image, partial(read, image))
            if smoother is not None:
                with meter("smooth"):
                    heads = smoother(heads)
            yield Frame(index=index, image=image, heads=heads)

    return ahead(follow(), AHEAD)


def timed(detect: Callable[[Image], list[BBox]], meter: Meter) -> Callable[[Image], list[BBox]]:
    """A detector whose time is charged to the stage find."""

    def find(image: Image) -> list[BBox]:
        with meter("find"):
            return detect(image)

    return find
