"""The head that the project carries, made by a program from closed formulas (SPEC 8).

FLAME's counts and arrays without FLAME's data: everything runs with nothing downloaded.
"""

from functools import lru_cache

import numpy as np

from trans3dhead.head.builtin.expression import expression_directions
from trans3dhead.head.builtin.fields import DIGITS
from trans3dhead.head.builtin.landmarks import contour_landmarks, static_landmarks, vertex_subsets
from trans3dhead.head.builtin.paint import vertex_colors
from trans3dhead.head.builtin.patches import head_vertices
from trans3dhead.head.builtin.shape import shape_directions
from trans3dhead.head.builtin.skinning import joint_regressor, pose_directions, skinning_weights
from trans3dhead.head.builtin.topology import head_topology
from trans3dhead.head.model import HeadModel


@lru_cache(maxsize=1)
def builtin_head() -> HeadModel:
    """The built-in head; the same arrays at every call and on every machine."""
    topology = head_topology()
    vertices = head_vertices(topology).round(DIGITS)
    contour_faces, contour_weights = contour_landmarks(topology)
    static_faces, static_weights = static_landmarks(topology)
    shape, expression = (
        directions(topology, vertices) for directions in (shape_directions, expression_directions)
    )
    measures = {
        "template": vertices,
        "shape_directions": np.concatenate([shape, expression], axis=-1),
        "pose_directions": pose_directions(topology, vertices),
        "joint_regressor": joint_regressor(topology, vertices),
        "skinning_weights": skinning_weights(topology, vertices),
        "static_landmark_barycentric": static_weights,
        "dynamic_landmark_barycentric": contour_weights,
    }
    subsets = vertex_subsets(topology, vertices)
    return HeadModel.from_arrays(
        {name: array.round(DIGITS) for name, array in measures.items()}
        | {f"subset_{name}": subset for name, subset in subsets.items()}
        | {
            "faces": topology.faces,
            "static_landmark_faces": static_faces,
            "dynamic_landmark_faces": contour_faces,
            "colors": vertex_colors(topology, vertices),
        },
        name="builtin",
        licence="Apache-2.0",
        redistributable=True,
        origin="the built-in head",
    )
