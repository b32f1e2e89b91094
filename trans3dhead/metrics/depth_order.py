"""Z5, of two kinds: is a vertex in front of or behind its neighbours, as in the ground truth?

As defined, each vertex is compared with its own 5 nearest neighbours. The published code sorts the
distance matrix along the other axis, so that row i of its table holds the i-th nearest vertex to
the vertices 1 to 5 of the subset: most pairs are far apart, and scores are far higher. Published
numbers are of that kind (SPEC 6), so both are kept, named apart.

N vertices in the subset. Depth grows into the scene: z of the posed prediction, -z of the camera's
frame. A flat prediction (all z equal) has a stated value in both: the share of pairs in which the
ground truth's first vertex is not the nearer one, since equal depth counts as that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engines.errors import UserError
from trans3dhead.data.camera import to_camera

NEIGHBOURS = 5


@dataclass(frozen=True)
class DepthOrder:
    """How pairs of the ground truth lie in depth: what predictions are compared with."""

    table: NDArray[np.int16]
    """[N, 5]: vertex i is paired with each vertex of row i."""
    behind: NDArray[np.bool_]
    """[N, 5]: whether i is at least as deep as its partner."""

    def share(self, predicted_z: NDArray[np.floating]) -> float:
        """Share of pairs that a prediction's depths [N] order alike."""
        return float(np.mean((predicted_z[:, None] >= predicted_z[self.table]) == self.behind))


def z5_published(
    predicted_z: NDArray[np.floating],
    vertices: NDArray[np.floating],
    model_view: NDArray[np.floating],
) -> float:
    """Share of (i, j) ordered alike in depth, by the published table, in float32.

    Args:
        predicted_z: [N] z of the posed prediction.
        vertices, model_view: of `published_order`.

    Raises:
        UserError: all vertices of the ground truth coincide.
    """
    return published_order(vertices, model_view).share(predicted_z.astype(np.float32))


def z5_defined(
    predicted_z: NDArray[np.floating],
    vertices: NDArray[np.floating],
    model_view: NDArray[np.floating],
) -> float:
    """Share of (i, j) ordered alike in depth, by each vertex's own 5 nearest neighbours, float64.

    Arguments and errors are those of `z5_published`.
    """
    return defined_order(vertices, model_view).share(predicted_z.astype(np.float64))


def published_order(vertices: NDArray[np.floating], model_view: NDArray[np.floating]) -> DepthOrder:
    """The pairs of the published table.

    All in float32 like the published code, in the camera's frame: the translation decides which
    distances float32 can still tell apart.

    Args:
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
    return _order(-camera[:, 2], table)


def defined_order(vertices: NDArray[np.floating], model_view: NDArray[np.floating]) -> DepthOrder:
    """The pairs of each vertex and its own 5 nearest; otherwise as `published_order`.

    Of equally near vertices those count that the k-d tree finds first.
    """
    _check_extent(vertices)
    camera = to_camera(vertices, model_view)
    _, nearest = cKDTree(camera).query(camera, k=NEIGHBOURS + 1)  # [N, 6], itself among them
    itself = nearest == np.arange(len(camera))[:, None]
    # Where six others share its place, a vertex may be missing from its own list.
    itself[~itself.any(axis=1), -1] = True
    table = nearest[~itself].reshape(-1, NEIGHBOURS)  # [N, 5]
    return _order(-camera[:, 2], table)


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


def _order(true_z: NDArray[np.floating], table: NDArray[np.integer]) -> DepthOrder:
    assert len(table) <= np.iinfo(np.int16).max
    return DepthOrder(table.astype(np.int16), true_z[:, None] >= true_z[table])


def _check_extent(vertices: NDArray[np.floating]) -> None:
    if not np.ptp(vertices, axis=0).any():
        raise UserError(
            "all vertices of the ground truth coincide; expected a head; correct the annotation"
        )
