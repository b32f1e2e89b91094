"""The built-in head's mesh: FLAME's counts, and a surface without flaws."""

from collections import Counter

import numpy as np

from trans3dhead.head.builtin.topology import head_topology
from trans3dhead.head.model import HeadModel
from trans3dhead.head.surface import FACE_COUNT, VERTEX_COUNT


def test_counts() -> None:
    topology = head_topology()
    assert topology.faces.shape == (FACE_COUNT, 3)
    np.testing.assert_array_equal(np.unique(topology.faces), np.arange(VERTEX_COUNT))
    eyeballs = np.concatenate(topology.eyeballs)
    np.testing.assert_array_equal(eyeballs, np.arange(topology.skin_count, VERTEX_COUNT))


def test_surface_is_whole_and_wound_one_way() -> None:
    """Each edge joins two triangles in opposite directions, but at the base of the neck."""
    topology = head_topology()
    faces = topology.faces
    edges = Counter(
        (int(a), int(b)) for i, j in ((0, 1), (1, 2), (2, 0)) for a, b in faces[:, [i, j]]
    )
    assert max(edges.values()) == 1
    border = [start for start, end in edges if (end, start) not in edges]
    np.testing.assert_array_equal(np.sort(border), np.flatnonzero(topology.row == 0))


def test_faces_look_outward(head: HeadModel) -> None:
    topology = head_topology()
    for part in (np.arange(topology.skin_count), *topology.eyeballs):
        faces = head.faces[np.isin(head.faces, part).all(axis=1)]
        a, b, c = np.moveaxis(head.template[faces].astype(float) - (0, -0.16, 0), 1, 0)
        volume = (a * np.cross(b, c)).sum() / 6
        ball = 4 / 3 * np.pi * 0.0121**3
        low, high = (0.003, 0.006) if len(part) > 600 else (0.95 * ball, ball)
        assert low < volume < high, "cubic metres; negative where the winding is inward"
