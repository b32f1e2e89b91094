"""Reading an image file: always RGB, always whole."""

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError, one_line

_PNG = b"\x89PNG\r\n\x1a\n"
_WHOLE_PNG = b"IEND\xaeB`\x82"  # the last chunk of a PNG, with its checksum
_END_OF_JPEG = b"\xff\xd9"
_JPEG_SCAN = b"\xff\xda"


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """The image as [H, W, 3] uint8 RGB.

    Grey becomes three equal channels, alpha is dropped, 16 bits become 8, CMYK becomes RGB, and the
    picture is turned as its EXIF orientation says.

    Raises:
        UserError: the file is missing, is cut short, or is no image OpenCV can read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read image {path} ({error.strerror}); expected an image file; check the path"
        ) from error
    if not data or _is_truncated(data):
        raise UserError(
            f"image {path} is cut short ({len(data)} bytes); expected a whole file; copy it again"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # more pixels than OpenCV takes, 2**30
        raise UserError(
            f"image {path} is too large or broken ({one_line(error):.120}); expected at most 2**30 "
            "pixels; convert it"
        ) from error
    if image is None:
        raise UserError(
            f"{path} is not an image OpenCV can read; expected PNG, JPEG or the like; convert it"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image as `read_rgb` gives it: of a PNG from its header, else by decoding it.

    Raises:
        UserError: as `read_rgb`; the pixels of a PNG are not looked at.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise UserError(
            f"cannot read image {path} ({error.strerror}); expected an image file; check the path"
        ) from error
    if head[:8] == _PNG and head[12:16] == b"IHDR":
        width, height = struct.unpack(">II", head[16:24])
        return height, width
    height, width = read_rgb(path).shape[:2]
    return height, width


def _is_truncated(data: bytes) -> bool:
    """Whether the end is missing: decoders may fill the rest with grey and only print a warning."""
    if data.startswith(b"\x89PNG"):
        return data.rfind(_WHOLE_PNG) < 0
    if data.startswith(b"\xff\xd8"):
        return data.rfind(_END_OF_JPEG) < data.rfind(_JPEG_SCAN)
    return False
