"""Heads whose place in the photo is known without the network."""

from collections.abc import Callable

import numpy as np
import pytest

from trans3dhead.data.crop import BBox, crop_box, crop_transform
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import HeadModel, project
from trans3dhead.head.rotation import rotation_from_euler, six_d_from_rotation
from trans3dhead.outputs.prediction import Prediction

SIZE = 256
PlaceHead = Callable[..., Prediction]


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return builtin_head()


@pytest.fixture(scope="session")
def place_head(head: HeadModel) -> PlaceHead:
    """A head in a box of an image, as an engine that is never wrong would read it."""

    def place(
        image_hw: tuple[int, int],
        bbox: BBox,
        *,
        degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
        seed: int = 0,
    ) -> Prediction:
        rng = np.random.default_rng(seed)
        params = prior(LAYOUT_413)
        params[LAYOUT_413.shape_slice] = 0.7 * rng.normal(size=300)
        params[LAYOUT_413.translation] = 0.05 * rng.normal(size=3)
        rotation = rotation_from_euler(np.array(degrees))
        params[LAYOUT_413.rotation] = six_d_from_rotation(rotation)
        crop = crop_transform(crop_box(bbox, image_hw), SIZE)
        vertices = head.posed_vertices(params[None])
        projected = crop.to_full(project(vertices, params[None], SIZE)[0])
        return Prediction(
            bbox=bbox,
            crop=crop,
            landmarks=head.landmarks68(projected[None])[0],
            params=params,
            rotation=rotation.astype(np.float32),
            vertices=vertices[0],
            projected=projected,
            surface=head,
        )

    return place
