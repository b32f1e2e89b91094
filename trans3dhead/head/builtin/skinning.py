"""Joints of the built-in head: who follows them, where they are, what they correct (SPEC 8)."""

import numpy as np

from trans3dhead.head.builtin.fields import waves
from trans3dhead.head.builtin.patches import EYE_CENTRE
from trans3dhead.head.builtin.skull import smooth_step
from trans3dhead.head.builtin.topology import Topology

GLOBAL, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
HINGE = np.array([0.0, -0.004, 0.008])
"""Where the jaw turns: between its two joints, just in front of the ears."""


def skinning_weights(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """How much each vertex follows each joint, [5023, 5]; every row sums to 1."""
    skin = vertices[: topology.skin_count]
    # the jaw is what lies below the line from the hinge through the corners of the mouth
    below = np.degrees(np.arctan2(HINGE[1] - skin[:, 1], np.maximum(skin[:, 2] - HINGE[2], 1e-3)))
    jaw = smooth_step(below, 20, 42)
    jaw *= smooth_step(topology.row, 3.5, 8.5) * smooth_step(skin[:, 2], -0.050, 0.020)
    jaw *= smooth_step(HINGE[1] - skin[:, 1], 0.004, 0.040)
    for side in ("left", "right"):
        jaw[topology.patches[f"{side}_ear"][1:]] = 0
    mouth = topology.patches["mouth"]
    around = mouth.shape[1]
    turn = np.arange(around) / around  # 0 right corner, .25 upper lip, .5 left corner
    side = np.abs(1 - 4 * np.where(turn <= 0.5, turn, 1 - turn))  # 1 at the corners
    lips = np.where(turn <= 0.5, 0.45 * side**3, 1 - 0.55 * side**3)
    jaw[mouth[1]] = 0.5 * (jaw[mouth[1]] + lips)
    jaw[mouth[2:]] = lips

    weights = np.zeros((len(vertices), 5))
    weights[: len(skin), JAW] = jaw
    weights[: len(skin), NECK] = (1 - jaw) * smooth_step(topology.row, 0, 5)
    for joint, eyeball in zip((LEFT_EYE, RIGHT_EYE), topology.eyeballs, strict=True):
        weights[eyeball, joint] = 1
    weights[:, GLOBAL] = 1 - weights.sum(axis=1)
    return weights


def joint_regressor(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """Weights [5, 5023] that give each joint as a mean of vertices; every row sums to 1."""
    regressor = np.zeros((5, len(vertices)))
    skin = slice(0, topology.skin_count)
    row = topology.row
    regressor[GLOBAL, skin] = row == 0
    regressor[NECK, skin] = row == 4
    x, y, z = vertices[skin].T
    near = np.exp(-(((y - HINGE[1]) / 0.010) ** 2) - ((z - HINGE[2]) / 0.010) ** 2)
    regressor[JAW, skin] = near * (np.abs(x) > 0.05)
    for joint, eyeball in zip((LEFT_EYE, RIGHT_EYE), topology.eyeballs, strict=True):
        regressor[joint, eyeball[[0, -1]]] = 1  # front and back pole: their middle is the centre
    return regressor / regressor.sum(axis=1, keepdims=True)


def pose_directions(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """Small correctives [5023, 3, 36] for the entries of R - I of neck, jaw and both eyes."""
    centres = np.array(
        [
            [0, -0.110, -0.02],
            [0, -0.050, 0.05],
            EYE_CENTRE,
            EYE_CENTRE * (-1, 1, 1),
        ]
    )
    reach = np.array([0.05, 0.04, 0.015, 0.015])
    size = np.array([0.0012, 0.0016, 0.0003, 0.0003])
    distance = np.linalg.norm(vertices[:, None] - centres, axis=-1)  # [V, 4]
    amount = size * np.exp(-((distance / reach) ** 2))
    for eyeball in topology.eyeballs:
        amount[eyeball] = 0
    pattern = waves(vertices, count=36, seed=3, longest=0.25, shortest=0.12)
    return pattern * np.repeat(amount, 9, axis=1)[:, None, :]
