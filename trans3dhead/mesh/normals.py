"""Smooth normals of a mesh's vertices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    """Vectors [..., 3] of length 1; a zero vector stays zero."""
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


@dataclass(frozen=True, eq=False)
class MeshNormals:
    """Smooth vertex normals of meshes with the same triangles."""

    faces: NDArray[np.int32]
    corner_faces: NDArray[np.int64]
    """[3 F] the triangle of each corner, the corners of a vertex side by side."""
    begin: NDArray[np.int64]
    """[V] where a vertex's corners begin."""

    @classmethod
    def of(cls, faces: NDArray[np.int32], vertex_count: int) -> "MeshNormals":
        """Prepare for triangles [F, 3] on that many vertices, each of which some triangle has."""
        corners = faces.ravel()
        order = corners.argsort(kind="stable")
        begin = np.searchsorted(corners[order], np.arange(vertex_count))
        return cls(faces, order // 3, begin)

    def __call__(self, vertices: Vectors) -> Vectors:
        """Outward unit normals [V, 3] of vertices [V, 3], triangles weighing by area."""
        a, b, c = (np.take(vertices, corner, axis=0) for corner in self.faces.T)
        (ux, uy, uz), (vx, vy, vz) = (b - a).T, (c - a).T
        crossed = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])  # [3, F]
        # sums[i, v] = sum over the corners k of v of crossed[i, face of k]
        sums = np.add.reduceat(np.take(crossed, self.corner_faces, axis=1), self.begin, axis=1)
        return unit(sums.T)
