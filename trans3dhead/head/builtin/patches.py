"""The fine forms of the built-in head: lips, lids, ears, eyeballs, ring by ring (SPEC 8).

Metres, as in `skull`. A patch's border is part of the grid; each function gives the rings inside
it, from the border inward: [rings, around, 3]. Eyes and ears are made on the left and mirrored.
"""

from collections.abc import Callable

import numpy as np

from trans3dhead.head.builtin.skull import face_at, face_relief, hair_volume, skull, smooth_step
from trans3dhead.head.builtin.topology import BLOCKS, EYEBALL_SECTORS, Topology

EYE_CENTRE = np.array([0.0315, 0.0255, 0.0665])
"""Of the left eye; pupils are 63 mm apart."""
EYE_RADIUS = 0.0121
EYEBALL_POLAR = (5, 10, 12, 19, 26, 29, 38, 48, 58, 70, 82, 94, 106, 120, 134, 148, 164)
"""Degrees of each ring from the pupil's centre: the edges of pupil and iris fall on rings."""
MOUTH_HEIGHT, MOUTH_HALF_WIDTH = -0.0450, 0.0255


def head_vertices(topology: Topology) -> np.ndarray:
    """The mean head: float64 [5023, 3]."""
    skin = skull(topology.row, topology.column)
    skin += face_relief(skin)
    skin += hair_volume(topology, skin)
    patches: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "mouth": _mouth,
        "left_eye": _eye,
        "left_ear": _ear,
    }
    for name, shape in patches.items():
        rings = topology.patches[name]
        placed = shape(skin[rings[0]])  # [rings, around, 3]
        skin[rings[1:]] = placed
        if name.startswith("left"):
            twin = topology.patches[name.replace("left", "right")]
            skin[twin[1:, mirrored(twin.shape[1])]] = placed * (-1, 1, 1)
    ball = _eyeball() * EYE_RADIUS
    return np.concatenate([skin, ball + EYE_CENTRE, ball + EYE_CENTRE * (-1, 1, 1)])


def mirrored(around: int) -> np.ndarray:
    """Position in a right patch's ring of each position in the left one's (both clockwise)."""
    return (around // 2 - np.arange(around)) % around


def _around(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a ring's positions: from corner to corner -1 to 1, arch 0 to 1 to 0, is it above."""
    turn = np.arange(count) / count  # 0 at the corner with the lesser x, then over the top
    upper = turn <= 0.5
    along = np.where(upper, turn, 1 - turn) * 2
    return 2 * along - 1, np.sin(np.pi * along), upper


def _mouth(border: np.ndarray) -> np.ndarray:
    """Skin, edge of the red, fullest line, front, contact, gums, edge of the teeth, throat."""
    side, _, upper = _around(len(border))
    arch = np.sqrt(np.maximum(1 - np.abs(side) ** 2.2, 0))
    bow = 0.0078 * arch * (1 - 0.16 * np.exp(-((side / 0.12) ** 2))) * (1 - 0.12 * side**2)
    lower = -0.0088 * (1 - np.abs(side) ** 2.6) ** 0.8
    reach = np.where(upper, bow, lower)  # how far the vermilion goes from the lip line
    x = side * MOUTH_HALF_WIDTH
    line = MOUTH_HEIGHT - 0.0010 * side**2 + 0.0006 * np.cos(3 * np.pi * side) * arch
    gap = np.where(upper, 1, -1) * 0.00005 * arch

    def lip(share: float, widen: float, out: float) -> np.ndarray:
        """Ring at a share of the vermilion's height, pushed out of the face."""
        ring = face_at(x * widen, line + share * reach + gap)
        ring[:, 2] += out * arch - 0.0006 * (1 - arch)
        return ring

    def inside(narrow: float, up: np.ndarray, depth: float) -> np.ndarray:
        """Ring behind the line where the lips meet, metres higher and deeper."""
        return contact * (narrow, 1, 1) + np.stack([0 * x, up * arch, 0 * x - depth], -1)

    edge = lip(1.0, 1.0, 0.0008)
    wider = edge[:, :2] + (edge[:, :2] - (0, MOUTH_HEIGHT)) * 0.25
    skirt = face_at(*(0.25 * border[:, :2] + 0.75 * wider).T)
    full, front = lip(0.6, 0.99, 0.0030), lip(0.22, 0.975, 0.0024)
    contact = lip(0.0, 0.96, -0.0008)
    gums = inside(0.97, np.where(upper, 0.001, -0.002), 0.0035)
    teeth = inside(0.90, np.where(upper, -0.0050, 0.0005), 0.0050)
    back = inside(0.60, np.where(upper, 0.009, -0.009), 0.0300)
    return np.stack([skirt, edge, full, front, contact, gums, teeth, back])


def _eye(border: np.ndarray) -> np.ndarray:
    """Lids of the left eye: orbit, crease, fold, margin, and the socket behind the ball."""
    side, arch, upper = _around(len(border))
    x = 0.0310 + 0.0150 * side
    above, beneath = 0.0068 * arch * (1 - 0.15 * side), 0.0045 * arch * (1 + 0.20 * side)
    opening = np.where(upper, above, -beneath)
    line = EYE_CENTRE[1] - 0.0012 + 0.0016 * side
    margin = np.stack([x, line + opening], -1)

    def lid(flat: np.ndarray, lift: float) -> np.ndarray:
        """On a surface just over the ball, wider than it so that the corners are met."""
        across, up = ((flat - EYE_CENTRE[:2]) / (0.0195, 0.0150)).T
        over = EYE_RADIUS + lift
        depth = EYE_CENTRE[2] + over * np.sqrt(np.maximum(1 - across**2 - up**2, 0.05))
        return np.concatenate([flat, depth[:, None]], -1)

    raised = np.where(upper, 0.0042, -0.0030) * arch
    fold_flat = margin + np.stack([0.0012 * side, raised * 0.45], -1)
    crease_flat = margin + np.stack([0.0030 * side, raised * 1.15], -1)
    orbit_flat = 0.5 * border[:, :2] + 0.5 * crease_flat
    orbit = face_at(*orbit_flat.T)
    crease = 0.5 * face_at(*crease_flat.T) + 0.5 * lid(crease_flat, 0.0006)
    fold, edge = lid(fold_flat, 0.0022), lid(margin, 0.0012)
    away = margin - np.array([EYE_CENTRE[0], EYE_CENTRE[1] - 0.001])
    away /= np.sqrt((away**2).sum(axis=-1, keepdims=True))

    def socket(radius: float, depth: float) -> np.ndarray:
        """A circle around the ball's axis, metres behind its centre."""
        ring = np.empty((len(away), 3))
        ring[:, :2], ring[:, 2] = EYE_CENTRE[:2] + radius * away, EYE_CENTRE[2] - depth
        return ring

    behind, bottom = socket(0.0135, 0.0), socket(0.0090, 0.0145)
    return np.stack([orbit, crease, fold, edge, behind, bottom])


def _ear(border: np.ndarray) -> np.ndarray:
    """The left ear: base, back of the flap, rim, fold of the rim, groove, ridge, hollow."""
    turn = 2 * np.pi * np.arange(len(border)) / len(border)  # clockwise from the front
    back, up = -np.cos(turn), np.sin(turn)
    narrow = 1 - 0.28 * np.maximum(-up, 0) + 0.05 * np.maximum(up, 0)
    place = np.array(BLOCKS["left_ear"].border, float)
    middle = (place.min(0) + place.max(0)) / 2
    base = skull(*(middle + (place - middle) * (0.72, 0.66)).T)
    centre = skull(*middle[:, None])[0]
    axes = np.array([[0.06, -0.18, -0.98], [0.0, 0.98, -0.18], [1.0, 0.0, 0.06]])  # back, up, out

    def ring(size: float, shift: float, front: float, rear: float) -> np.ndarray:
        """An ear-shaped outline; how far it stands out at its front and rear edge."""
        a = shift + size * 0.0165 * np.where(back > 0, back, 0.75 * back) * narrow
        b = size * 0.0300 * up
        out = front + (rear - front) * smooth_step(back, -1.0, 0.9)
        return centre + np.stack([a, b, out], -1) @ axes

    return np.stack(
        [
            base,
            ring(0.80, 0.002, 0.0005, 0.0070),
            ring(1.00, 0.004, 0.0020, 0.0150),
            ring(0.90, 0.004, 0.0030, 0.0165),
            ring(0.76, 0.003, 0.0020, 0.0110),
            ring(0.56, 0.001, 0.0025, 0.0120),
            ring(0.30, -0.001, -0.0015, 0.0020),
        ]
    )


def _eyeball() -> np.ndarray:
    """Unit sphere, pupil to the front: [546, 3]."""
    polar = np.radians(EYEBALL_POLAR)[:, None]
    turn = 2 * np.pi * (np.arange(EYEBALL_SECTORS) + 0.5)[None] / EYEBALL_SECTORS
    wide, ahead = np.sin(polar), np.cos(polar) + 0 * turn
    ball = np.stack([wide * np.cos(turn), wide * np.sin(turn), ahead], -1).reshape(-1, 3)
    return np.concatenate([[[0.0, 0, 1]], ball, [[0.0, 0, -1]]])
