"""Landmarks and vertex subsets of the built-in head (SPEC 3, 8).

The order is iBUG's: contour from the subject's right ear over the chin to the left, brows, nose,
eyes, lips; "right" is the subject's, so it comes first and has negative x.
"""

import numpy as np

from trans3dhead.head.builtin.topology import COLUMNS, EYEBALL_SECTORS, ROWS, Topology
from trans3dhead.head.surface import SUBSETS

CONTOUR = np.array(
    [
        # row, column of contour points 16 (left ear) to 8 (chin)
        [32.0, 15.8],
        [28.0, 15.7],
        [23.5, 15.5],
        [19.0, 15.0],
        [14.5, 14.0],
        [11.0, 11.0],
        [9.4, 7.6],
        [8.8, 3.8],
        [8.6, 0.0],
    ]
)
NEAREST_COLUMN = 12.6, 10.4, 8.4
"""How near to the middle a contour point may slide: beside an eye, beside the mouth, elsewhere."""
BROWS = np.array([[37.6, 11.0], [38.0, 9.0], [38.0, 7.0], [37.9, 5.0], [37.6, 3.2]])
"""Row and column of the left brow's points, the outer one first."""
NOSE = np.array(
    [[34, 0], [31, 0], [28, 0], [25, 0], [22.6, -4], [22.4, -2], [22, 0], [22.4, 2], [22.6, 4]]
)
LID_RING, LIP_RING, INNER_LIP_RING = 4, 2, 5
IRIS_RINGS = 4
OUTSIDE = 1e6
"""Row and column of vertices that are not in the grid."""


def _at_vertices(topology: Topology, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [n] and weights [n, 3] of vertices [n]."""
    corners = topology.faces.ravel()
    face = np.empty(corners.max() + 1, int)
    face[corners[::-1]] = np.arange(len(corners))[::-1] // 3  # the first triangle that has it
    return face[index], (topology.faces[face[index]] == index[:, None]).astype(float)


def _in_grid(topology: Topology, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [n] and weights [n, 3] of grid coordinates (row, column) [n, 2].

    The places must lie outside the patches, and not on the column at the very back.
    """
    coordinates = np.full((topology.faces.max() + 1, 2), OUTSIDE)
    coordinates[: topology.skin_count] = np.stack([topology.row, topology.column], -1)
    for rings in topology.patches.values():
        coordinates[rings[1:]] = OUTSIDE
    corners = coordinates[topology.faces]  # [F, 3, 2]
    lowest, highest = corners.min(axis=1), corners.max(axis=1)
    flat = np.flatnonzero((highest[:, 0] < ROWS) & (highest[:, 1] - lowest[:, 1] == 1))
    cells = np.full((ROWS, COLUMNS, 2), -1)
    row, column = lowest[flat].astype(int).T
    order = np.lexsort((column, row))
    pair = np.arange(len(flat)) % 2  # a cell holds two triangles, neighbours in this order
    cells[row[order], column[order], pair] = flat[order]

    row, column = np.floor(place).astype(int).T
    candidates = cells[row, column]  # [n, 2]
    assert candidates.min() >= 0, "a landmark lies in a patch"
    a, b, c = np.moveaxis(corners[candidates], 2, 0)  # [n, 2, 2]
    p = place[:, None]
    weights = np.stack([_cross(b - p, c - p), _cross(c - p, a - p), _cross(a - p, b - p)], -1)
    weights /= _cross(b - a, c - a)[..., None]  # [n, 2, 3]
    best = weights.min(axis=-1).argmax(axis=1)
    each = np.arange(len(place))
    return candidates[each, best], np.clip(weights[each, best], 0, 1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def static_landmarks(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [51] and weights [51, 3] of landmarks 17 to 67."""
    brows = np.concatenate([BROWS * (1, -1), BROWS[::-1]])
    rings = [
        topology.patches["right_eye"][LID_RING, ::6],
        topology.patches["left_eye"][LID_RING, ::6],
        topology.patches["mouth"][LIP_RING, ::4],
        topology.patches["mouth"][INNER_LIP_RING, ::6],
    ]
    parts = [
        _in_grid(topology, np.concatenate([brows, NOSE])),
        _at_vertices(topology, np.concatenate(rings)),
    ]
    faces, weights = zip(*parts, strict=True)
    return np.concatenate(faces), np.concatenate(weights)


def contour_landmarks(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [79, 17] and weights [79, 17, 3] of landmarks 0 to 16.

    Rows 0 to 39: the head turned by so many degrees to the subject's right; 40 to 78: by 1 to 39
    to the left (FLAME's table). The side turned away shows its outline nearer to the nose.
    """
    place = np.concatenate([CONTOUR * (1, -1), CONTOUR[-2::-1]])  # [17, 2], right to left
    row, column = place.T
    nearest = np.where(row > 28.5, NEAREST_COLUMN[0], NEAREST_COLUMN[1])
    nearest = np.where(row < 12, NEAREST_COLUMN[2], nearest)
    tables = []
    for turned, away in ((np.arange(40), column < 0), (np.arange(1, 40), column > 0)):
        slid = np.abs(column) - turned[:, None] / 10
        slid = np.minimum(np.abs(column), np.maximum(slid, nearest))
        moved = np.where(away, np.sign(column) * slid, column)  # [angles, 17]
        tables.append(np.stack(np.broadcast_arrays(row, moved), axis=-1))
    places = np.concatenate(tables)  # [79, 17, 2]
    faces, weights = _in_grid(topology, places.reshape(-1, 2))
    return faces.reshape(79, 17), weights.reshape(79, 17, 3)


def vertex_subsets(topology: Topology, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of "head", "face" and "head_with_ears", each exactly as many as FLAME's.

    None holds the inside of mouth or sockets. The head is everything above the neck; the face
    ends at hair, ears and jaw; the head with ears leaves out the back of skull and neck.
    """
    x, y, z = vertices.T
    hidden = np.zeros(len(vertices), bool)
    height = np.zeros(len(vertices))
    height[: topology.skin_count] = topology.row - 0.01 * np.abs(topology.column)
    hidden[topology.patches["mouth"][6:]] = True
    for side, eyeball in zip(("left", "right"), topology.eyeballs, strict=True):
        hidden[topology.patches[f"{side}_eye"][5:]] = True
        hidden[eyeball] = z[eyeball] < z[eyeball].mean()
        height[eyeball[: 1 + IRIS_RINGS * EYEBALL_SECTORS]] = ROWS
    far = {
        "head": -height,
        "face": np.hypot(x / 0.062, (y - 0.005) / 0.095) - 8 * np.minimum(z - 0.03, 0),
        "head_with_ears": np.maximum(-0.3 * y, 0) - z,
    }
    subsets = {}
    for name, count in SUBSETS.items():
        rank = np.argsort(np.round(far[name], 9) + 99 * hidden, kind="stable")
        subsets[name] = np.sort(rank[:count])
        assert not hidden[subsets[name]].any(), name
    return subsets
