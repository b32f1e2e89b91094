"""Colours of the built-in head's vertices (SPEC 8)."""

import numpy as np

from trans3dhead.head.builtin.patches import EYEBALL_POLAR
from trans3dhead.head.builtin.skull import hair_amount, smooth_step
from trans3dhead.head.builtin.topology import EYEBALL_SECTORS, Topology

SKIN, FLUSH, SHADE = (214, 168, 143), (204, 128, 112), (166, 118, 100)
LIP, LASH, HAIR, NOSTRIL = (184, 104, 98), (58, 40, 34), (66, 46, 36), (84, 48, 42)
GUM, TOOTH, THROAT = (120, 52, 50), (226, 220, 208), (48, 20, 20)
WHITE, IRIS, RIM, PUPIL = (238, 236, 232), (104, 78, 52), (62, 44, 32), (16, 14, 14)


def vertex_colors(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """RGB, uint8 [5023, 3], of the mean head's vertices [5023, 3]."""
    colors = np.empty((len(vertices), 3))
    colors[: topology.skin_count] = SKIN
    x, y, z = vertices[: topology.skin_count].T
    face = smooth_step(z, 0.03, 0.06)

    def tint(color: tuple[int, int, int], amount: np.ndarray) -> None:
        skin = colors[: len(amount)]
        skin += amount[:, None] * (np.array(color) - skin)

    def spot(at_x: float, at_y: float, wide: float, high: float) -> np.ndarray:
        """1 at (x, y) and its mirror image on the face, falling to 0 around."""
        return face * np.exp(-(((np.abs(x) - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2)

    tint(FLUSH, 0.45 * spot(0.042, -0.012, 0.017, 0.016))
    tint(FLUSH, 0.35 * spot(0.0, -0.010, 0.012, 0.008))
    tint(SHADE, 0.40 * spot(0.027, 0.034, 0.013, 0.006))
    tint(SHADE, 0.35 * spot(0.0, -0.062, 0.014, 0.003))
    column, row = np.abs(topology.column), topology.row
    brow_end = smooth_step(column, 2.2, 3.6) * smooth_step(-column, -12.6, -10.5)
    tint(HAIR, 0.8 * brow_end * np.isin(row, (37, 38)) * (y > 0.038))
    tint(NOSTRIL, 0.85 * np.isin(row, (23, 24)) * np.isin(column, (2, 3)))
    tint(HAIR, hair_amount(topology))

    mouth = topology.patches["mouth"]
    around = mouth.shape[1]
    upper = np.arange(around) <= around // 2
    colors[mouth[2]] = 0.4 * colors[mouth[2]] + 0.6 * np.array(LIP)
    colors[mouth[3:5]] = LIP
    colors[mouth[5]] = 0.6 * np.array(LIP) + 0.4 * np.array(GUM)
    colors[mouth[6]], colors[mouth[7:]] = GUM, THROAT
    dental = upper & (np.abs(np.arange(around) - around / 4) < around / 5)
    colors[mouth[6:8, dental]] = TOOTH
    for side in ("left", "right"):
        eye, ear = topology.patches[f"{side}_eye"], topology.patches[f"{side}_ear"]
        lashes = np.arange(eye.shape[1]) <= eye.shape[1] // 2
        colors[eye[4]] = 0.7 * np.array(SKIN) + 0.3 * np.array(GUM)
        colors[eye[4, lashes]] = LASH
        colors[eye[5:]] = GUM
        colors[ear[2:]] = 0.75 * np.array(SKIN) + 0.25 * np.array(FLUSH)
        colors[ear[7:]] = SHADE

    polar = np.concatenate([[0], np.repeat(EYEBALL_POLAR, EYEBALL_SECTORS), [180]])
    ball = np.array([WHITE, RIM, IRIS, PUPIL])[np.searchsorted([-29, -26, -11], -polar, "right")]
    for eyeball in topology.eyeballs:
        colors[eyeball] = ball
    return np.round(colors).astype(np.uint8)
