"""Writing the mesh for other programs."""

from pathlib import Path

import numpy as np
import trimesh

from engines.errors import UserError
from engines.files import write_whole

MESH_SUFFIXES = (".obj", ".ply", ".glb")


def save_mesh(path: Path, posed: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> None:
    """Write a coloured mesh; the suffix chooses the format.

    The file's axes are those of 3D programs: metres, x to the image's right, y up, z towards the
    viewer, so that the head looks as in the photo.

    Args:
        posed: [V, 3] metres in image axes (x right, y down, z into the scene).
        faces: [F, 3] vertex indices.
        colors: [V, 3] uint8 RGB.
    """
    if path.suffix not in MESH_SUFFIXES:
        raise UserError(
            f"{path.name} has no mesh suffix; expected one of {', '.join(MESH_SUFFIXES)}; rename it"
        )
    mesh = trimesh.Trimesh(
        vertices=posed * np.array([1.0, -1.0, -1.0]),
        faces=faces,
        vertex_colors=colors,
        process=False,  # merging vertices would change their order
    )
    data = mesh.export(file_type=path.suffix[1:])
    assert isinstance(data, str | bytes)
    write_whole(path, data)
