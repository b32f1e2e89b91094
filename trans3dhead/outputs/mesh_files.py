"""The mesh for other programs."""

from pathlib import Path

import numpy as np
import trimesh

from engines.errors import UserError
from engines.files import write_whole

MESH_SUFFIXES = (".obj", ".ply", ".glb")
VIEWER_AXES = np.array([1.0, -1.0, -1.0])
"""Times image axes: those of 3D programs, x to the image's right, y up, z towards the viewer."""


def mesh_bytes(suffix: str, posed: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> bytes:
    """A coloured mesh as the contents of a file; the suffix chooses the format.

    The file's axes are those of 3D programs: metres from the head model's origin, x to the
    image's right, y up, z towards the viewer, so that the head looks as in the photo. There are
    no texture coordinates: the built-in head has none, and FLAME's are no part of its model file.

    Args:
        suffix: one of MESH_SUFFIXES.
        posed: [V, 3] metres in image axes (x right, y down, z into the scene).
        faces: [F, 3] vertex indices.
        colors: [V, 3] uint8 RGB.
    """
    mesh = trimesh.Trimesh(
        vertices=posed * VIEWER_AXES,
        faces=faces,
        vertex_colors=colors,
        process=False,  # merging vertices would change their order
    )
    data = mesh.export(file_type=suffix[1:])
    return data.encode() if isinstance(data, str) else bytes(data)


def save_mesh(path: Path, posed: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> None:
    """Write `mesh_bytes` whole; UserError where the path's suffix is none of a mesh."""
    if path.suffix not in MESH_SUFFIXES:
        raise UserError(
            f"{path.name} has no mesh suffix; expected one of {', '.join(MESH_SUFFIXES)}; rename it"
        )
    write_whole(path, mesh_bytes(path.suffix, posed, faces, colors))
