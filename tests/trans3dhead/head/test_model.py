"""Skinning against smplx, counts, files."""

import numpy as np
import pytest
import torch
from smplx.lbs import lbs

from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import DEPTH_OFFSET, HeadModel

PARENTS = torch.tensor([-1, 0, 1, 1, 1])


@pytest.fixture(scope="module")
def params() -> np.ndarray:
    rng = np.random.default_rng(3)
    params = np.tile(prior(LAYOUT_413), (100, 1))
    params[:, : LAYOUT_413.jaw_slice.start] = rng.normal(size=(100, 400))
    params[:, LAYOUT_413.jaw_slice] = rng.uniform(-0.5, 0.5, (100, 3))
    params[:, LAYOUT_413.rotation] += rng.normal(size=(100, 6)) * 0.3
    return params


def smplx_vertices(head: HeadModel, params: np.ndarray) -> np.ndarray:
    pose = np.zeros((len(params), 15), np.float64)
    pose[:, 6:9] = params[:, LAYOUT_413.jaw_slice]
    vertices, _ = lbs(
        torch.from_numpy(params[:, :400].astype(np.float64)),
        torch.from_numpy(pose),
        torch.from_numpy(head.template.astype(np.float64)),
        torch.from_numpy(head.shape_directions.astype(np.float64)),
        torch.from_numpy(head.pose_directions.astype(np.float64)).reshape(-1, 36).T,
        torch.from_numpy(head.joint_regressor.astype(np.float64)),
        PARENTS,
        torch.from_numpy(head.skinning_weights.astype(np.float64)),
    )
    return vertices.numpy()


def test_skinning_equals_smplx(params: np.ndarray) -> None:
    head = builtin_head()
    expected = smplx_vertices(head, params) + (0, 0, DEPTH_OFFSET)
    assert np.abs(head.model_vertices(params) - expected).max() < 1e-6
