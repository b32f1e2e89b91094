"""How steady and how right the points of a video's head are."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Steadiness:
    """Of one kind of landmarks, pixels of the video."""

    jitter: float
    """Mean distance of a point to itself one frame before."""
    error: float
    """Mean distance of a point to the truth; of a moving head it holds the filter's delay."""


def steadiness(points: Points, truth: Points) -> Steadiness:
    """Compare the points of every frame with the frame before and with the truth.

    Args:
        points: [F, 68, 2] pixels, of F frames one after the other.
        truth: [F, 68, 2] pixels.
    """
    return Steadiness(
        jitter=float(np.linalg.norm(np.diff(points, axis=0), axis=-1).mean()),
        error=float(np.linalg.norm(points - truth, axis=-1).mean()),
    )


def points_of(lines: Path, key: str, track: int = 0) -> Points:
    """One head's points from the JSON lines that `predict` wrote of a video.

    Args:
        key: "landmarks_xy_pixels" or "mesh_landmarks_xy_pixels".
        track: the head's number.

    Returns:
        [F, 68, 2] pixels, of the frames in which the head has such points.
    """
    entries = map(json.loads, lines.read_text().splitlines())
    heads = (head for entry in entries for head in entry["heads"] if head["track"] == track)
    found = [head[key] for head in heads if head[key] is not None]
    return np.array(found, np.float64).reshape(-1, 68, 2)
