"""Following heads through a video: the next crop is where the last meshes say the head goes.

A detector starts a track, is asked again where the two branches of the network disagree or the
box leaves the frame, and now and then for heads that are new.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.crop import BBox
from trans3dhead.detection import SAME_HEAD, Image, overlap
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.reading.agreement import DISAGREEMENT_LIMIT, in_doubt, mesh_box

STILL = 0.02
"""A box stays where it is while the middle of the mesh's box is off its own, and has moved since
the last frame, by no more than this share of its width and height: a still head keeps its crop to
the pixel."""
SAME_SIZE = 1.1
"""A box keeps its size while the mesh's is larger or smaller by no more than this factor. Networks
are trained with 5 % to 15 % around the head (SPEC 5) and tell its size poorly from a wider crop:
one that took its next size from every answer grew to 1.3 times the head within a second."""
DETECTED_SIZE = 1.2
"""A box whose area is that of a detected head times more than the square of this, or less than one
over it, takes the geometric mean of both, side by side."""
CONFIRMED = 0.5
"""Intersection over union with a detected head below which a track starts anew from it."""
MERGED = 0.5
"""Intersection over union of two meshes' boxes from which they are one head's."""
INSIDE = 0.5
"""Share of a box that must lie in the frame."""
SHAPES = (0.4, 2.5)
"""Width over height of a head's box, at the least and at the most."""
SMALLEST = 12.0
"""Pixels of a box's shorter side."""

Read = Callable[[Sequence[BBox]], list[Prediction]]
"""The heads of the present frame inside boxes."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A head of a frame."""

    track: int
    """The same number for the same head as long as it is followed."""
    head: Prediction
    doubt: bool
    """The branches disagree and the detector knew nothing better."""


@dataclass(kw_only=True)
class _Track:
    number: int
    bbox: BBox
    """Where the head is expected in the next frame."""
    middle: NDArray[np.float64] | None = None
    """Of the mesh's box in the last frame, (x, y) pixels; None where the track starts anew."""
    doubts: int = 0
    """Frames in a row in which the branches disagreed."""

    def start(self, bbox: BBox) -> None:
        """Look at another box."""
        self.bbox, self.middle = bbox, None

    def resize(self, detected: BBox) -> None:
        """Meet a detected head half way where its size is another."""
        (x, y, w, h), (_, _, dw, dh) = self.bbox, detected
        if max(w * h / (dw * dh), dw * dh / (w * h)) > DETECTED_SIZE**2:
            width, height = math.sqrt(w * dw), math.sqrt(h * dh)
            self.bbox = (x + (w - width) / 2, y + (h - height) / 2, width, height)

    def move(self, mesh: BBox) -> None:
        """Expect the head where the mesh's box is, and where it goes if it goes on so.

        The network's answer is drawn towards the middle of its crop, so a box that only followed
        would fall behind a head that moves.
        """
        (x, y, w, h), (mx, my, mw, mh) = self.bbox, mesh
        here = np.array([mx + mw / 2, my + mh / 2])
        step = here - (here if self.middle is None else self.middle)
        self.middle = here
        if max(mw / w, w / mw, mh / h, h / mh) <= SAME_SIZE:
            away = here - (x + w / 2, y + h / 2)
            if np.all(np.maximum(np.abs(away), np.abs(step)) <= STILL * np.array([w, h])):
                return
            mw, mh = w, h
        x, y = (here + step).tolist()
        self.bbox = (x - mw / 2, y - mh / 2, mw, mh)


class HeadTracker:
    """Heads of frame after frame. Feed every frame of one video in its order.

    Args:
        detect: finds heads in an image; asked in a frame without tracks, in one where a head was
            lost or is in doubt, and once in `interval` frames.
        first: boxes of the first frame, in place of the detector's.
        interval: frames between two searches for new heads.
        patience: frames that a head may stay in doubt before it is dropped.
        limit: disagreement of the branches from which a head is in doubt, per cent.
    """

    def __init__(
        self,
        detect: Callable[[Image], list[BBox]],
        *,
        first: Sequence[BBox] = (),
        interval: int = 30,
        patience: int = 15,
        limit: float = DISAGREEMENT_LIMIT,
    ) -> None:
        self.searches = 0
        """How often the detector was asked."""
        self._detect = detect
        self._interval, self._patience, self._limit = interval, patience, limit
        self._numbers = itertools.count()
        self._tracks = [_Track(number=next(self._numbers), bbox=bbox) for bbox in first]
        self._since_search = 0

    def follow(self, image: Image, read: Read) -> list[Followed]:
        """The heads of the next frame.

        Args:
            image: [H, W, 3] uint8 RGB.
            read: reads this frame's heads inside boxes.
        """
        self._since_search += 1
        searched = not self._tracks or self._since_search >= self._interval
        if searched:
            self._search(image)
        found = self._read(read)
        if not searched and any(self._lost(track, head, image) for track, head in found):
            self._search(image, [track for track, head in found if self._lost(track, head, image)])
            found = self._read(read)
        answers = []
        for track, head in self._merge(found):
            doubt = in_doubt(head, self._limit)
            track.doubts = track.doubts + 1 if doubt else 0
            box = mesh_box(head)
            if not _plausible(box, image) or track.doubts > self._patience:
                self._tracks.remove(track)
                self._since_search = self._interval  # look again in the next frame
            else:
                track.move(box)
            answers.append(Followed(track=track.number, head=head, doubt=doubt))
        return answers

    def _read(self, read: Read) -> list[tuple[_Track, Prediction]]:
        heads = read([track.bbox for track in self._tracks]) if self._tracks else []
        return list(zip(self._tracks, heads, strict=True))

    def _merge(self, found: list[tuple[_Track, Prediction]]) -> list[tuple[_Track, Prediction]]:
        """End the younger of two tracks that have come to read one head."""
        kept: list[tuple[_Track, Prediction]] = []
        for track, head in found:
            box = mesh_box(head)
            if any(overlap(box, mesh_box(other)) >= MERGED for _, other in kept):
                self._tracks.remove(track)
            else:
                kept.append((track, head))
        return kept

    def _lost(self, track: _Track, head: Prediction, image: Image) -> bool:
        """Whether the detector should be asked about a head in this frame: the first in doubt, and
        every few after it, as a search costs more than a frame."""
        if not _plausible(mesh_box(head), image):
            return True
        return in_doubt(head, self._limit) and track.doubts % 5 == 0

    def _search(self, image: Image, doubtful: Sequence[_Track] = ()) -> None:
        """Ask the detector; tracks it contradicts start anew, heads it alone knows get a track.

        A doubtful track ends where the detector sees heads, but only elsewhere. Where it sees none
        it may have missed this one, as it misses many from the side.
        """
        self.searches += 1
        self._since_search = 0
        boxes = list(self._detect(image))
        unseen = []
        for track in self._tracks:
            best = max(boxes, key=lambda box: overlap(box, track.bbox), default=None)
            if best is None or overlap(best, track.bbox) < SAME_HEAD:
                unseen.append(track)
                continue
            if track in doubtful or overlap(best, track.bbox) < CONFIRMED:
                track.start(best)
            else:
                track.resize(best)
            boxes.remove(best)
        if boxes:
            self._tracks = [t for t in self._tracks if t not in doubtful or t not in unseen]
        for box in boxes:
            if all(overlap(box, track.bbox) < SAME_HEAD for track in self._tracks):
                self._tracks.append(_Track(number=next(self._numbers), bbox=box))


def _plausible(box: BBox, image: Image) -> bool:
    """Whether a box can be a head's in this frame; not if it is not finite."""
    x, y, w, h = box
    if not (min(w, h) >= SMALLEST and SHAPES[0] <= w / h <= SHAPES[1]):
        return False
    height, width = image.shape[:2]
    shown = (min(x + w, width) - max(x, 0)) * max(min(y + h, height) - max(y, 0), 0)
    return bool(shown >= INSIDE * w * h)
