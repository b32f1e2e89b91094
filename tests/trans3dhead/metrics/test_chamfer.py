import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engines.errors import UserError
from trans3dhead.metrics.chamfer import chamfer, fit_similarity

TRUE_LANDMARKS = np.array(
    [[-4, 3, 0], [-1, 3, 0.4], [1, 3, 0.5], [4, 3, 0.1], [0, 0, 2], [-2, -2, 0.7], [2.2, -2, 0.5]],
    np.float64,
)
MIRROR = np.diag([1.0, 1.0, -1.0])


@pytest.fixture(scope="module")
def meshes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All predicted vertices, their 7 landmarks, the true face."""
    rng = np.random.default_rng(0)
    predicted = rng.uniform(-5, 5, (150, 3))
    landmarks = TRUE_LANDMARKS + rng.normal(scale=0.2, size=(7, 3))
    return predicted, landmarks, rng.uniform(-5, 5, (60, 3))


def score(predicted: np.ndarray, landmarks: np.ndarray, face: np.ndarray) -> float:
    return chamfer(predicted, landmarks, face, TRUE_LANDMARKS)


def by_loops(predicted: np.ndarray, landmarks: np.ndarray, face: np.ndarray) -> float:
    """The definition: eye corners 20 apart, the best similarity, mean of squared distances.

    Of a proper rotation and a mirror before one, the better fit is kept.
    """
    scale = 20 / np.sqrt(sum((TRUE_LANDMARKS[1][c] - TRUE_LANDMARKS[2][c]) ** 2 for c in range(3)))
    target = scale * TRUE_LANDMARKS
    best = None
    for mirror in (np.eye(3), MIRROR):
        source = landmarks @ mirror
        s0, t0 = source - source.mean(axis=0), target - target.mean(axis=0)
        rotation, _ = Rotation.align_vectors(t0, s0)
        turned = rotation.apply(s0)
        size = (turned * t0).sum() / (s0**2).sum()
        residual = ((size * turned - t0) ** 2).sum()
        if best is None or residual < best[0]:
            moved = size * rotation.apply(predicted @ mirror - source.mean(axis=0))
            best = residual, moved + target.mean(axis=0)
    assert best is not None
    total = 0.0
    for x, y, z in (scale * face).tolist():
        total += min((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in best[1].tolist())
    return total / len(face)


def test_equals_the_definition_in_loops(meshes):
    predicted, landmarks, face = meshes
    assert score(*meshes) == pytest.approx(by_loops(*meshes), rel=1e-9)
    # a prediction turned inside out has to be mirrored back
    inside_out = predicted @ MIRROR, landmarks @ MIRROR, face
    assert score(*inside_out) == pytest.approx(by_loops(*inside_out), rel=1e-9)


def test_known_answer():
    """The truth's eye corners are 2.002 apart; one of two face vertices is 1 unit away."""
    face = np.array([[0.0, 0, 5], [0, 0, 9]])
    predicted = np.array([[0.0, 0, 5], [0, 0, 8], [50, 50, 50]])
    factor = 20 / np.linalg.norm(TRUE_LANDMARKS[1] - TRUE_LANDMARKS[2])
    assert chamfer(predicted, TRUE_LANDMARKS, face, TRUE_LANDMARKS) == pytest.approx(factor**2 / 2)


def test_distances_run_from_the_truth_alone(meshes):
    predicted, landmarks, face = meshes
    far_away = np.concatenate([predicted, np.full((20, 3), 100.0)])
    assert score(far_away, landmarks, face) == pytest.approx(score(*meshes), rel=1e-12)


@pytest.mark.parametrize("mirror", [np.eye(3), MIRROR])
def test_a_similarity_of_the_prediction_changes_nothing(meshes, mirror):
    predicted, landmarks, face = meshes
    turn = Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix() @ mirror

    def moved(points: np.ndarray) -> np.ndarray:
        return 0.013 * points @ turn + [3, -2, 7]

    assert score(moved(predicted), moved(landmarks), face) == pytest.approx(
        score(*meshes), rel=1e-9
    )


def test_the_truth_scale_does_not_matter(meshes):
    predicted, landmarks, face = meshes
    smaller = chamfer(predicted, landmarks, 0.01 * face, 0.01 * TRUE_LANDMARKS)
    assert smaller == pytest.approx(score(*meshes), rel=1e-9)


def test_a_wrong_shape_is_seen(meshes):
    predicted, landmarks, _ = meshes
    stretch = np.array([1.0, 1.0, 1.3])
    same = chamfer(predicted, landmarks, predicted[:60], landmarks)
    assert same < 1e-20
    assert chamfer(predicted * stretch, landmarks * stretch, predicted[:60], landmarks) > 1


def test_the_similarity_is_the_inverse_of_the_one_that_moved():
    turn = Rotation.from_rotvec([0.5, 0.1, -0.4]).as_matrix() @ MIRROR
    target = 2.5 * TRUE_LANDMARKS @ turn + [1, 2, 3]
    fitted = fit_similarity(TRUE_LANDMARKS, target)
    assert fitted.scale == pytest.approx(2.5)
    assert np.allclose(fitted(TRUE_LANDMARKS), target, atol=1e-12)
    assert np.allclose(fitted.rotation, turn, atol=1e-12)


@pytest.mark.parametrize("point", [[0.0, 0, 0], [0.1, 0.2, 0.3]])
def test_landmarks_in_one_point_are_refused(meshes, point):
    predicted, _, face = meshes
    with pytest.raises(UserError, match="lie in one point"):
        score(predicted, np.tile(point, (7, 1)), face)


def test_landmarks_on_one_line_are_refused(meshes):
    predicted, _, face = meshes
    line = (np.arange(7)[:, None] * [0.01, 0.02, -0.01] + [0.2, 0.1, 0.3]).astype(np.float32)
    with pytest.raises(UserError, match="lie on one line"):
        score(predicted, line, face)


def test_a_truth_without_eye_distance_is_refused(meshes):
    predicted, landmarks, face = meshes
    with pytest.raises(UserError, match=r"inner eye corners .* coincide"):
        chamfer(predicted, landmarks, face, np.ones((7, 3)))


def test_a_collapsed_mesh_with_good_landmarks_has_a_value(meshes):
    predicted, landmarks, face = meshes
    assert score(np.zeros_like(predicted), landmarks, face) > score(*meshes)
