"""The built-in head and parameters to try it on."""

import numpy as np
import pytest

from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import HeadModel


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return builtin_head()


@pytest.fixture(scope="session")
def params() -> np.ndarray:
    """A hundred parameter vectors: shape and expression normal, jaw up to 0.5 rad."""
    rng = np.random.default_rng(3)
    params = np.tile(prior(LAYOUT_413), (100, 1))
    params[:, : LAYOUT_413.jaw_slice.start] = rng.normal(size=(100, 400))
    axis = rng.normal(size=(100, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    params[:, LAYOUT_413.jaw_slice] = axis * rng.uniform(0, 0.5, (100, 1))
    params[:, LAYOUT_413.rotation] += rng.normal(size=(100, 6)) * 0.3
    params[:, LAYOUT_413.translation] = rng.normal(size=(100, 3)) * 0.1
    params[:, LAYOUT_413.scale] += rng.normal(size=(100, 1)) * 0.3
    return params
