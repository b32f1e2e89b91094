"""The built-in head (SPEC 8), first form: an ellipsoid with every array of the right shape."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from trans3dhead.head.model import HeadModel
from trans3dhead.head.surface import SUBSETS, VERTEX_COUNT

COLUMNS, RINGS = 60, 65


def _rings(counts: list[int]) -> np.ndarray:
    """Triangles between consecutive rings of vertices; a count is a multiple of the one before."""
    faces, start = [], 0
    for few, many in pairwise(counts):
        below = start + few
        step = many // few
        for i in range(many):
            j = (i + 1) % many
            a, b = start + i // step % few, start + (i + 1) // step % few
            faces.append((a, below + i, below + j))
            if a != b:
                faces.append((a, below + j, b))
        start = below
    return np.array(faces)


def _sphere(rings: int, columns: int, last: float) -> np.ndarray:
    polar = np.linspace(last / rings, last, rings)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    return np.stack(
        [np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn, np.sin(polar) * np.cos(turn)], -1
    ).reshape(-1, 3)


@lru_cache(maxsize=1)
def builtin_head() -> HeadModel:
    """The head that the project carries; the same arrays at every call."""
    rng = np.random.default_rng(8)
    first = _sphere(1, 30, 0.05)
    skin = np.concatenate([[[0.0, 1, 0]], first, _sphere(RINGS, COLUMNS, 2.7)]) * (
        0.075,
        0.12,
        0.095,
    ) + (0, 0.03, 0)
    skin_faces = _rings([1, 30] + [COLUMNS] * RINGS)
    x, y, z = skin.T
    front = z > 0
    skin[:, 2] += front * 0.025 * np.exp(-((x / 0.012) ** 2) - ((y + 0.01) / 0.02) ** 2)
    ball = _sphere(17, 32, np.pi * 17 / 18)
    ball = np.concatenate([[[0.0, 1, 0]], ball, [[0.0, -1, 0]]])
    ball_faces = np.concatenate(
        [
            _rings([1] + [32] * 17),
            [(545, 513 + (i + 1) % 32, 513 + i) for i in range(32)],
        ]
    )
    centres = np.array([[0.0315, 0.03, 0.075], [-0.0315, 0.03, 0.075]])
    template = np.concatenate([skin, ball * 0.012 + centres[0], ball * 0.012 + centres[1]])
    faces = np.concatenate([skin_faces, ball_faces + 3931, ball_faces + 3931 + 546])
    region = np.repeat([0, 1, 2], [3931, 546, 546])

    directions = np.zeros((VERTEX_COUNT, 3, 400))
    where = template.copy()
    where[region == 1], where[region == 2] = centres
    for k in range(400):
        order = k if k < 300 else 3 * (k - 300)
        frequency = rng.normal(size=(3, 3)) * 8 * (1 + order / 60)
        size = (0.004 if k < 300 else 0.003) / (1 + order / 6)
        wave = np.cos(where @ frequency + rng.uniform(0, 2 * np.pi, 3))
        mask = 1.0 if k < 300 else np.exp(-(((where - (0, -0.02, 0.09)) / 0.05) ** 2).sum(1))
        directions[:, :, k] = size * wave * np.broadcast_to(mask, VERTEX_COUNT)[:, None]
    jaw = 1 / (1 + np.exp((template[:, 1] + 0.028 - 0.3 * (0.09 - template[:, 2])) / 0.006))
    jaw = jaw * (template[:, 2] > -0.01) * (region == 0)
    weights = np.zeros((VERTEX_COUNT, 5))
    weights[:, 2] = jaw
    weights[region == 1, 3] = weights[region == 2, 4] = 1
    weights[:, 1] = 1 - weights.sum(1)
    regressor = np.zeros((5, VERTEX_COUNT))
    for row, joint in enumerate([(0, -0.08, 0), (0, -0.06, 0), (0, 0.0, 0.01), *centres]):
        regressor[row] = np.exp(-(((where - joint) * (0.2, 1, 1) / 0.01) ** 2).sum(1))
    regressor /= regressor.sum(1, keepdims=True)
    posing = 1e-4 * np.cos(where @ (rng.normal(size=(3, 36)) * 20))[:, None, :] * np.ones((1, 3, 1))

    colors = np.full((VERTEX_COUNT, 3), (205, 160, 135), np.uint8)
    colors[skin[:, 1].argsort()[-900:]] = (70, 50, 40)
    colors[region > 0] = (235, 235, 230)
    targets, contour = _landmark_targets()
    inner = [_locate(template, faces[:7800], p) for p in targets]
    outer = [_locate(template, faces[:7800], p) for p in contour]
    rank = np.argsort(np.where(region == 0, -template[:, 1] - 0.5 * template[:, 2], 9))
    subsets = {f"subset_{k}": np.sort(rank[:n]).astype(np.int32) for k, n in SUBSETS.items()}
    arrays = {
        "template": template,
        "faces": faces,
        "shape_directions": directions,
        "pose_directions": posing,
        "joint_regressor": regressor,
        "skinning_weights": weights,
        "colors": colors,
        "static_landmark_faces": np.array([f for f, _ in inner]),
        "static_landmark_barycentric": np.array([b for _, b in inner]),
        "dynamic_landmark_faces": np.tile([f for f, _ in outer], (79, 1)),
        "dynamic_landmark_barycentric": np.tile([b for _, b in outer], (79, 1, 1)),
    }
    return HeadModel.from_arrays(
        arrays | subsets,
        name="builtin",
        licence="Apache-2.0",
        redistributable=True,
        origin="the built-in head",
    )


def _locate(template: np.ndarray, faces: np.ndarray, point: np.ndarray) -> tuple[int, list[float]]:
    """The front triangle that covers (x, y), and barycentric weights."""
    a, b, c = (template[faces[:, i], :2] for i in range(3))
    ab, ac, ap = b - a, c - a, point - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    u = (ap[:, 0] * ac[:, 1] - ap[:, 1] * ac[:, 0]) / np.where(area == 0, 1, area)
    v = (ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]) / np.where(area == 0, 1, area)
    front = template[faces].mean(1)[:, 2] > 0
    inside = np.minimum(np.minimum(u, v), 1 - u - v)
    face = int(np.argmax(np.where(front & (np.abs(area) > 1e-12), inside, -9)))
    weights = np.clip([1 - u[face] - v[face], u[face], v[face]], 0, 1)
    return face, list(weights / weights.sum())


def _landmark_targets() -> tuple[np.ndarray, np.ndarray]:
    def arc(x0: float, x1: float, n: int, y: float, rise: float) -> list[tuple[float, float]]:
        t = np.linspace(0, 1, n)
        return list(zip(x0 + (x1 - x0) * t, y + rise * np.sin(np.pi * t), strict=True))

    points = arc(-0.052, -0.014, 5, 0.047, 0.008) + arc(0.014, 0.052, 5, 0.047, 0.008)
    points += [(0, 0.028), (0, 0.016), (0, 0.004), (0, -0.008)]
    points += arc(-0.013, 0.013, 5, -0.016, -0.004)
    for x0, x1 in ((-0.046, -0.017), (0.017, 0.046)):
        top, low = arc(x0, x1, 4, 0.03, 0.006), arc(x1, x0, 4, 0.03, -0.006)
        points += top + low[1:3]
    points += arc(-0.025, 0.025, 7, -0.038, 0.008) + arc(0.025, -0.025, 7, -0.038, -0.01)[1:6]
    points += arc(-0.02, 0.02, 5, -0.038, 0.002) + arc(0.02, -0.02, 5, -0.038, -0.002)[1:4]
    angle = np.linspace(0, np.pi, 17)
    contour = np.stack([-0.066 * np.cos(angle), 0.03 - 0.1 * np.sin(angle)], -1)
    return np.array(points), contour
