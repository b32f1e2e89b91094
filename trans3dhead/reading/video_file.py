"""Writing a video with codecs that every wheel of OpenCV holds."""

import os
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from engines.files import LEFTOVER_MARK

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
"""Ending to codec: MPEG-4 part 2, or one JPEG a frame. Browsers play neither; players do."""


def check_video_name(path: Path) -> None:
    """UserError where the ending is of no codec that can be written everywhere."""
    if path.suffix.lower() not in CODECS:
        raise UserError(
            f"video {path} ends in {path.suffix or 'nothing'}; expected "
            f"{' or '.join(CODECS)}, which every OpenCV can write; rename it"
        )


class VideoFile:
    """A video written whole or not at all: it takes its name when the block ends well.

    Args:
        path: ends in .mp4 or .avi.
        rate: frames a second.

    Raises:
        UserError: another ending, or the folder cannot be written to.
    """

    def __init__(self, path: Path, rate: float) -> None:
        check_video_name(path)
        self.path = path
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The ending stays: OpenCV chooses the container by it.
        self._part = path.with_name(f".{path.stem}{LEFTOVER_MARK}{os.getpid()}{path.suffix}")

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append a frame [H, W, 3] uint8 RGB, all of one size."""
        size = (image.shape[1], image.shape[0])
        if self._writer is None:
            self._size = size
            code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self._part), code, self._rate, size)
            if not self._writer.isOpened():
                raise UserError(
                    f"cannot write {self.path} ({size[0]} x {size[1]}, {self._rate:g} frames/s); "
                    "expected a folder that can be written to; name another file"
                )
        if size != self._size:
            raise UserError(
                f"a frame came with {size[0]} x {size[1]} pixels after {self._size[0]} x "
                f"{self._size[1]}; expected frames of one size; convert the video"
            )
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)
