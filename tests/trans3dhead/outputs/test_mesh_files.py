"""Mesh files keep every vertex, in the axes of 3D programs."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.outputs.mesh_files import MESH_SUFFIXES, save_mesh


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_a_frontal_head_is_upright_and_looks_at_the_viewer(tmp_path: Path, suffix: str) -> None:
    head = builtin_head()
    posed = head.posed_vertices(prior(LAYOUT_413)[None])[0]
    path = tmp_path / f"head{suffix}"
    save_mesh(path, posed, head.faces, head.colors)
    mesh = trimesh.load(path, process=False, force="mesh")
    assert mesh.vertices.shape == posed.shape
    assert mesh.faces.shape == head.faces.shape
    np.testing.assert_allclose(mesh.vertices, posed * [1, -1, -1], atol=1e-6)
    np.testing.assert_allclose(mesh.visual.vertex_colors[:, :3], head.colors, atol=1)
    chin, brow, nose, ear = head.landmarks68(mesh.vertices[None])[0][[8, 19, 30, 0]]
    assert brow[1] > chin[1]
    assert nose[2] > ear[2]


def test_an_unknown_suffix_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    head = builtin_head()
    with pytest.raises(UserError, match=r"\.obj, \.ply, \.glb"):
        save_mesh(tmp_path / "head.stl", head.template, head.faces, head.colors)
    assert not list(tmp_path.iterdir())
