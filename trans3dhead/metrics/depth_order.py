"""Z5, of two kinds: is a vertex in front of or behind its neighbours, as in the ground truth?

As defined, each vertex is compared with its own 5 nearest neighbours. The published code sorts the
distance matrix along the other axis, so that row i of its table holds the i-th nearest vertex to
the vertices 1 to 5 of the subset: most pairs are far apart, and scores are far higher. Published
numbers are of that kind (SPEC 6), so both are kept, named apart.

N vertices in the subset. Depth grows into the scene: z of the posed prediction, -z of the camera's
frame. A flat prediction (all z equal) has a stated value in both: the share of pairs in which the
ground truth's first vertex is not the nearer one, since equal depth counts as that.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engines.errors import UserError
from trans3dhead.data.camera import to_camera

NEIGHBOURS = 5


def z5_published(
    predicted_z: NDArray[np.floating],
    vertices: NDArray[np.floating],
    model_view: NDArray[np.floating],
) -> float:
    """Share of (i, j) ordered alike in depth, by the published table.

    All in float32 like the published code, in the camera's frame: the translation decides which
    distances float32 can still tell apart.

    Args:
        predicted_z: [N] z of the posed prediction.
        vertices: [N, 3] ground truth, model space.
        model_view: [4, 4] of the ground truth.

    Raises:
        UserError: all vertices of the ground truth coincide.
    """
    _check_extent(vertices)
    homogeneous = np.column_stack([vertices, np.ones(len(vertices))]).astype(np.float32)
    camera = (homogeneous @ model_view.T.astype(np.float32))[:, :3]  # [N, 3]
    # Row i, column j: the i-th nearest vertex to vertex j + 1.
    table = np.argsort(_distances_to_first(camera), axis=0, kind="stable")  # [N, 5]
    return _agreement(predicted_z.astype(np.float32), -camera[:, 2], table)


def z5_defined(
    predicted_z: NDArray[np.floating],
    vertices: NDArray[np.floating],
    model_view: NDArray[np.floating],
) -> float:
    """Share of (i, j) ordered alike in depth, by each vertex's own 5 nearest neighbours, float64.

    Arguments and errors are those of `z5_published`. Of equally near vertices those count that the
    k-d tree finds first.
    """
    _check_extent(vertices)
    camera = to_camera(vertices, model_view)
    _, nearest = cKDTree(camera).query(camera, k=NEIGHBOURS + 1)  # [N, 6], itself among them
    itself = nearest == np.arange(len(camera))[:, None]
    # Where six others share its place, a vertex may be missing from its own list.
    itself[~itself.any(axis=1), -1] = True
    table = nearest[~itself].reshape(-1, NEIGHBOURS)  # [N, 5]
    return _agreement(predicted_z.astype(np.float64), -camera[:, 2], table)


def _distances_to_first(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns 1 to 5 of the matrix [N, N] of distances: all that the published table needs.

    As `torch.cdist` computes more than 25 points: |x|^2 - 2 x.y + |y|^2 in one matrix product.
    """
    squares = (points * points).sum(axis=1, keepdims=True)  # [N, 1]
    ones = np.ones_like(squares)
    left = np.concatenate([-2 * points, squares, ones], axis=1)  # [N, 5]
    right = np.concatenate([points, ones, squares], axis=1)[1 : NEIGHBOURS + 1]  # [5, 5]
    distances: NDArray[np.float32] = np.sqrt(np.maximum(left @ right.T, 0))  # [N, 5]
    return distances


def _agreement(
    predicted_z: NDArray[np.floating], true_z: NDArray[np.floating], table: NDArray[np.integer]
) -> float:
    """Share of (i, j) where (true_i >= true_table[i, j]) equals (pred_i >= pred_table[i, j])."""
    true_order = true_z[:, None] >= true_z[table]
    predicted_order = predicted_z[:, None] >= predicted_z[table]
    return float(np.mean(true_order == predicted_order))


def _check_extent(vertices: NDArray[np.floating]) -> None:
    if not np.ptp(vertices, axis=0).any():
        raise UserError(
            "all vertices of the ground truth coincide; expected a head; correct the annotation"
        )
