"""A head-like mesh without symmetry (so that no two distances tie) and answers near the truth."""

import numpy as np
import pytest

from trans3dhead.head.rotation import FRONTAL, rotation_from_euler
from trans3dhead.head.surface import FACE_COUNT, SUBSETS, VERTEX_COUNT, HeadSurface
from trans3dhead.metrics import GroundTruth, Predicted

IMAGES = 3


@pytest.fixture(scope="session")
def head() -> HeadSurface:
    """Topology at full size: random triangles, landmarks and subsets."""
    rng = np.random.default_rng(1)

    def barycentric(*shape: int) -> np.ndarray:
        return rng.dirichlet(np.ones(3), size=shape).astype(np.float32)

    def indices(bound: int, *shape: int) -> np.ndarray:
        return rng.integers(0, bound, shape).astype(np.int32)

    subsets = {
        f"subset_{name}": np.sort(rng.permutation(VERTEX_COUNT)[:count]).astype(np.int32)
        for name, count in SUBSETS.items()
    }
    return HeadSurface(
        name="random",
        licence="none",
        redistributable=True,
        faces=indices(VERTEX_COUNT, FACE_COUNT, 3),
        static_landmark_faces=indices(FACE_COUNT, 51),
        static_landmark_barycentric=barycentric(51),
        dynamic_landmark_faces=indices(FACE_COUNT, 79, 17),
        dynamic_landmark_barycentric=barycentric(79, 17),
        colors=np.zeros((VERTEX_COUNT, 3), np.uint8),
        **subsets,
    )


@pytest.fixture(scope="session")
def rotations() -> np.ndarray:
    """[n, 3, 3] true rotations, image axes."""
    return rotation_from_euler(np.array([[10.0, 20.0, -5.0], [-30.0, 60.0, 15.0], [0.0, 0.0, 0.0]]))


@pytest.fixture(scope="session")
def truth(rotations: np.ndarray) -> GroundTruth:
    rng = np.random.default_rng(2)
    directions = rng.normal(size=(IMAGES, VERTEX_COUNT, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    model_view = np.zeros((IMAGES, 4, 4))
    model_view[:, :3, :3] = FRONTAL @ rotations
    model_view[:, :3, 3] = [0.05, -0.02, -0.9]
    model_view[:, 3, 3] = 1
    return GroundTruth(
        landmarks=rng.uniform(100, 300, (IMAGES, 68, 2)),
        bbox=np.array([[90.0, 95.0, 220.0, 230.0], [80, 80, 250, 300], [10.5, 2, 400, 120]]),
        model_view=model_view,
        vertices=(directions * [0.08, 0.12, 0.1]).astype(np.float32),
        item_ids=("ada", "ben", "cleo"),
    )


@pytest.fixture(scope="session")
def predicted(truth: GroundTruth, rotations: np.ndarray) -> Predicted:
    """Somewhat wrong: 2 pixels, 3 millimetres, a few degrees."""
    rng = np.random.default_rng(3)
    nudge = rotation_from_euler(rng.normal(scale=4, size=(IMAGES, 3))) @ FRONTAL
    rotation = nudge @ rotations
    posed = truth.vertices @ np.swapaxes(rotation, 1, 2)
    return Predicted(
        landmarks=truth.landmarks + rng.normal(scale=2, size=truth.landmarks.shape),
        vertices=(posed + rng.normal(scale=0.003, size=posed.shape)).astype(np.float32),
        rotation=rotation.astype(np.float32),
    )
