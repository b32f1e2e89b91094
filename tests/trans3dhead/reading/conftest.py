"""An engine whose answers are known: it takes the bright square of its crop for a head."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.manifest import BatchProfile
from engines.runtime import Engine
from trans3dhead.data.crop import BBox
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import HeadModel, project
from trans3dhead.head.rotation import rotation_from_six_d
from trans3dhead.prediction import Predictor

SIZE = 64
Image = NDArray[np.uint8]


def squares(height: int, width: int, *boxes: BBox) -> Image:
    """A dark image with bright boxes (x, y, w, h) in it, [H, W, 3] RGB."""
    image = np.full((height, width, 3), 20, np.uint8)
    for x, y, w, h in boxes:
        image[round(y) : round(y + h), round(x) : round(x + w)] = 230
    return image


def find_square(image: Image) -> list[BBox]:
    """The box around what is bright; none where nothing is."""
    rows, columns = np.nonzero(image[..., 0] > 128)
    if not len(rows):
        return []
    x, y = float(columns.min()), float(rows.min())
    return [(x, y, float(columns.max()) + 1 - x, float(rows.max()) + 1 - y)]


class SquareEngine:
    """A frontal head as high as the bright square; the branches disagree where there is none."""

    contract = SimpleNamespace(image=SimpleNamespace(size=SIZE))
    manifest = SimpleNamespace(profiles=(BatchProfile(min=1, opt=4, max=8),))

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self.batches: list[int] = []
        """How many crops came together."""

    def infer(self, inputs: dict[str, Image]) -> dict[str, NDArray[Any]]:
        crops = inputs["image"]
        self.batches.append(len(crops))
        params = np.repeat(prior(LAYOUT_413)[None], len(crops), axis=0)
        vertices = self.head.posed_vertices(params)
        face = vertices[0, self.head.subsets["head"], :2]
        low, extent = face.min(axis=0), np.ptp(face, axis=0)
        doubtful = np.zeros(len(crops), bool)
        for i, crop in enumerate(crops):
            found = find_square(crop)
            doubtful[i] = not found
            x, y, w, h = found[0] if found else (8.0, 8.0, 48.0, 48.0)
            scale = h / (SIZE / 2) / extent[1]
            middle = np.array([x + w / 2, y + h / 2]) / (SIZE / 2) - 1
            params[i, LAYOUT_413.scale] = scale - 1
            params[i, LAYOUT_413.translation][:2] = middle - scale * (low + extent / 2)
        landmarks = self.head.landmarks68(project(vertices, params, SIZE))
        landmarks[doubtful] += 30
        rotation = rotation_from_six_d(params[:, LAYOUT_413.rotation].astype(np.float64))
        return {
            "params": params,
            "landmarks": landmarks,
            "rotation": rotation.astype(np.float32),
        }

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return builtin_head()


@pytest.fixture
def engine(head: HeadModel) -> SquareEngine:
    return SquareEngine(head)


@pytest.fixture
def predictor(engine: SquareEngine, head: HeadModel) -> Predictor:
    find_square.name = "square"  # type: ignore[attr-defined]
    return Predictor(cast(Engine, engine), head, detect=cast(Any, find_square))
