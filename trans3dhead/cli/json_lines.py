"""JSON lines of `predict`: one a photo or frame, written as soon as it is done."""

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from trans3dhead.prediction import Prediction
    from trans3dhead.reading.photos import ReadPhoto
    from trans3dhead.reading.videos import Frame


class JsonLines:
    """A file that grows line by line, each whole, so that another program can follow it.

    Args:
        path: replaced; None to write nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, entry: dict[str, Any]) -> None:
        """Append a line."""
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


def photo_record(read: "ReadPhoto") -> dict[str, Any]:
    """`item` and `error`, or `item`, `image_height_width`, `heads` and `files`."""
    entry: dict[str, Any] = {"item": read.photo.name}
    if read.error:
        return entry | {"error": read.error}
    return entry | {
        "image_height_width": list(read.image_hw),
        "heads": [_head_record(head) for head in read.heads],
        "files": [str(path) for path in read.files],
    }


def frame_record(name: str, frame: "Frame", rate: float) -> dict[str, Any]:
    """`item`, `frame`, `seconds`, `image_height_width` and `heads` with their `track`."""
    return {
        "item": name,
        "frame": frame.index,
        "seconds": frame.index / rate,
        "image_height_width": list(frame.image.shape[:2]),
        "heads": [
            {"track": followed.track, "doubt": followed.doubt, **_head_record(followed.head)}
            for followed in frame.heads
        ],
    }


def _head_record(head: "Prediction") -> dict[str, Any]:
    from trans3dhead.outputs import record
    from trans3dhead.reading.agreement import disagreement

    return {**record(head), "disagreement_percent": disagreement(head)}
