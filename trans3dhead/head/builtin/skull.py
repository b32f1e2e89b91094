"""The large forms of the built-in head: skull, face, nose, hair (SPEC 8).

Metres; x to the subject's left, y up, z out of the face; sizes are those of a mean adult. The
skull is a loft over a table of cross-sections; nose, sockets and cheeks are smooth bumps on it.
"""

import numpy as np

from trans3dhead.head.builtin.topology import Topology

# fmt: off
SECTIONS = np.array([
    # row: y front, side, back | half width | z front, widest, back | roundness of the front
    [0,  -.174, -.162, -.142,   .0690,   .018, -.028, -.082,   1.00],  # base of the neck
    [2,  -.140, -.126, -.112,   .0535,   .020, -.028, -.073,   1.00],
    [4,  -.1110,-.094, -.088,   .0505,   .026, -.022, -.071,   1.00],  # throat
    [6,  -.0990,-.069, -.076,   .0515,   .058, -.008, -.075,   1.20],
    [8,  -.0925,-.057, -.066,   .0535,   .0855, .000, -.081,   1.35],  # under the chin
    [10, -.0785,-.051, -.059,   .0555,   .0955, .004, -.085,   1.35],  # chin
    [12, -.0645,-.046, -.053,   .0575,   .0935, .006, -.088,   1.20],
    [16, -.0450,-.038, -.045,   .0605,   .0965, .006, -.093,   1.08],  # lips meet
    [20, -.0280,-.031, -.036,   .0640,   .0970, .004, -.098,   1.00],
    [23, -.0180,-.025, -.029,   .0660,   .0950, .002, -.101,   0.97],  # base of the nose
    [25, -.0110,-.020, -.022,   .0675,   .0940, .000, -.103,   0.95],
    [27, -.0025,-.012, -.012,   .0685,   .0940, -.002,-.105,   0.95],
    [29,  .0070, -.001, .000,   .0695,   .0940, -.004,-.107,   0.95],
    [33,  .0255, .020,  .020,   .0710,   .0950, -.008,-.108,   0.95],  # eyes
    [37,  .0430, .041,  .041,   .0730,   .1000, -.012,-.106,   0.92],  # brows
    [40,  .0585, .058,  .058,   .0750,   .1020, -.014,-.102,   0.90],
    [42,  .0730, .073,  .073,   .0755,   .1000, -.015,-.097,   0.90],
    [44,  .0930, .092,  .091,   .0725,   .0930, -.015,-.089,   0.92],  # hairline
    [46,  .1160, .113,  .109,   .0635,   .0775, -.014,-.076,   0.97],
    [48,  .1350, .131,  .125,   .0485,   .0540, -.013,-.058,   1.00],
    [50,  .1460, .1425,.138,    .0290,   .0255, -.012,-.036,   1.00],
    [51,  .1480, .1465,.144,    .0130,   .0050, -.011,-.022,   1.00],  # crown
])
COLUMN_ANGLES = np.array([
    [0, 0], [4, 12.5], [8, 28], [12, 47], [16, 79], [20, 107], [25, 143], [30, 180],
])
"""Degrees from the front: 4 mm apart on the face, 20 mm at the back of the head."""
BUMPS = np.array([
    # centre x, y | width x, y | metres outward (z); those off the midline on both sides
    [.0310,  .0270,  .0165, .0105,  -.0060],  # eye sockets
    [.0270,  .0450,  .0190, .0060,   .0025],  # brow ridges
    [.0000,  .0330,  .0080, .0080,  -.0015],  # root of the nose
    [.0480,  .0030,  .0160, .0120,   .0035],  # cheekbones
    [.0430, -.0350,  .0130, .0160,  -.0030],  # hollow cheeks
    [.0000, -.0760,  .0150, .0090,   .0035],  # chin
    [.0000, -.0630,  .0160, .0050,  -.0015],  # below the lower lip
    [.0000, -.0290,  .0035, .0070,  -.0012],  # philtrum
    [.0200, -.0200,  .0070, .0100,  -.0015],  # beside the nose
])
NOSE = np.array([
    # y | height above the face, half width of the ridge
    [ .0400, .0000, .0062],
    [ .0320, .0030, .0062],
    [ .0250, .0062, .0062],
    [ .0150, .0122, .0068],
    [ .0050, .0178, .0076],
    [-.0030, .0220, .0084],
    [-.0080, .0240, .0090],
    [-.0120, .0226, .0092],
    [-.0160, .0140, .0092],
    [-.0195, .0038, .0090],
    [-.0230, .0000, .0090],
])
# fmt: on


def smooth_step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to low, 1 from high, a cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def curve(knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Cubic curve through knots [n, 1 + k] (first column rising) at [...]: [..., k]."""
    x, y = knots[:, 0], knots[:, 1:]
    slope = np.gradient(y, x, axis=0)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    span = (x[i + 1] - x[i])[..., None]
    t = (at[..., None] - x[i][..., None]) / span
    rest = 1 - t
    ends = y[i] * (1 + 2 * t) * rest**2 + y[i + 1] * (3 - 2 * t) * t**2
    return ends + span * t * rest * (slope[i] * rest - slope[i + 1] * t)


def skull(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The loft at grid coordinates [n]: [n, 3]."""
    front, side, back, width, z_front, z_wide, z_back, roundness = curve(SECTIONS, row).T
    angle = np.radians(curve(COLUMN_ANGLES, np.abs(column))[:, 0])
    sine, cosine = np.sin(angle), np.cos(angle)
    ahead, behind = np.maximum(cosine, 0), np.maximum(-cosine, 0)
    x = np.sign(column) * width * sine
    y = side + (front - side) * ahead**1.5 + (back - side) * behind**1.5
    z = z_wide + (z_front - z_wide) * ahead**roundness + (z_back - z_wide) * behind
    return np.stack([x, y, z], -1)


def seen_from_front(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Grid coordinates (row, column) [n, 2] of the loft's front at (x, y), by Newton's method."""
    place = np.stack([np.interp(y, SECTIONS[:, 1], SECTIONS[:, 0]), x / 0.0045], -1)
    step = 1e-4
    for _ in range(7):
        row, column = place.T
        here = skull(row, column)[:, :2]
        slopes = np.stack([skull(row + step, column), skull(row, column + step)], -1)
        slopes = (slopes[:, :2] - here[..., None]) / step  # [n, (x, y), (row, column)]
        miss = np.stack([x, y], -1) - here
        place = place + np.clip(np.linalg.solve(slopes, miss[..., None])[..., 0], -4, 4)
        place = np.clip(place, (8, -14), (42, 14))
    assert np.abs(miss).max() < 1e-9, "not a point of the face"
    return place


def face_relief(points: np.ndarray) -> np.ndarray:
    """Bumps and nose: displacement [n, 3] of points [n, 3] on the loft's front."""
    x, y, z = points.T
    facing = smooth_step(z, 0.0, 0.05)
    lift = np.zeros_like(x)
    for bump_x, bump_y, width, height, metres in BUMPS:
        for centre in (bump_x, -bump_x) if bump_x else (0.0,):
            lift += metres * np.exp(-(((x - centre) / width) ** 2) - ((y - bump_y) / height) ** 2)
    ridge, width = curve(NOSE[::-1], np.clip(y, NOSE[-1, 0], NOSE[0, 0])).T
    nose = ridge * np.exp(-(np.abs(x / width) ** 2.1))
    wings = np.exp(-(((np.abs(x) - 0.0122) / 0.0046) ** 2) - ((y + 0.0132) / 0.0060) ** 2)
    tip = np.exp(-((x / 0.008) ** 2) - ((y + 0.009) / 0.006) ** 2)
    move = np.zeros_like(points)
    move[:, 0] = 0.0012 * np.sign(x) * wings
    # the rows follow the arch of the brows, and the tip of the nose hangs over its base
    brow = np.exp(-(((np.abs(x) - 0.032) / 0.013) ** 2) - ((y - 0.046) / 0.009) ** 2)
    move[:, 1] = 0.0035 * brow - 0.0035 * tip - 0.001 * wings
    move[:, 2] = lift + nose + 0.0095 * wings + 0.0015 * tip
    return move * facing[:, None]


def face_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Points [n, 3] of the face, relief included, whose loft is at (x, y)."""
    points = skull(*seen_from_front(x, y).T)
    return points + face_relief(points)


def hair_amount(topology: Topology) -> np.ndarray:
    """1 where hair grows, 0 on bare skin: [skin]."""
    # row of the hairline: forehead, temple, before the ear, behind it, nape
    hairline = np.array([[0, 44], [6, 44.3], [11, 43], [14, 38], [15.5, 36], [20, 35.6], [22, 29],
                         [25, 20], [30, 14]])  # fmt: skip
    edge = np.interp(np.abs(topology.column), *hairline.T)
    amount = smooth_step(topology.row - edge, -0.9, 0.9)
    for rings in topology.patches.values():
        amount[rings[1:]] = 0
    return amount


def hair_volume(topology: Topology, skin: np.ndarray) -> np.ndarray:
    """Displacement [skin, 3] of the hair, outward from the middle of the skull."""
    outward = skin - np.array([0, 0.035, -0.005])
    outward /= np.sqrt((outward**2).sum(-1, keepdims=True))
    inner = 0.002 + 0.005 * smooth_step(topology.row, 18, 34)
    inner += 0.005 * smooth_step(topology.row, 38, 47)
    return (hair_amount(topology) * inner)[:, None] * outward
