"""The 100 expression directions of the built-in head: what a face does (SPEC 8).

Each direction is a displacement in metres for one standard deviation. The first are movements
with a name, made of smooth pushes; the rest are random and gentle, around mouth and brows.
"""

from collections.abc import Sequence

import numpy as np

from trans3dhead.head.builtin.fields import largest_first, waves
from trans3dhead.head.builtin.patches import EYE_CENTRE
from trans3dhead.head.builtin.skull import smooth_step
from trans3dhead.head.builtin.topology import Topology

COUNT = 100
LARGEST_WAVE = 0.0015
"""Metres that the first random direction moves the liveliest parts."""

Push = tuple[str, tuple[float, float], tuple[float, float], tuple[float, float, float]]
"""What is pushed, and in millimetres: centre (x, y), reach (x, y), move (x, y, z). Where the
centre is off the midline the other side is pushed as its mirror image."""

ACTIONS: Sequence[Sequence[Push]] = (
    # smile
    (
        ("face", (26, -43), (18, 13), (3.2, 3.4, -1.6)),
        ("face", (43, -18), (18, 16), (0.6, 1.6, 1.2)),
        ("lower lid", (31, 25), (18, 12), (0.0, 0.8, 0.0)),
    ),
    # lips apart
    (
        ("lower lip", (0, -52), (26, 16), (0, -3.2, -0.4)),
        ("upper lip", (0, -36), (26, 12), (0, 1.2, 0.2)),
    ),
    # lips pursed
    (
        ("face", (25, -45), (17, 16), (-4.0, 0.0, 1.0)),
        ("face", (0, -45), (20, 15), (0.0, 0.0, 3.2)),
    ),
    # brows up
    (("face", (30, 50), (30, 16), (0, 3.6, 0.4)),),
    # eyes shut
    (
        ("upper lid", (31, 25), (26, 20), (0, -3.0, 0.5)),
        ("lower lid", (31, 25), (26, 20), (0, 0.7, 0.1)),
    ),
    # brows together and down
    (
        ("face", (14, 46), (14, 12), (-1.6, -2.4, 0.8)),
        ("face", (40, 48), (14, 12), (0, -0.8, 0)),
    ),
    # corners of the mouth down
    (("face", (27, -50), (16, 14), (0.6, -3.0, -0.4)), ("face", (0, -66), (18, 10), (0, 0.8, 0.8))),
    # upper lip and wings of the nose up
    (
        ("upper lip", (12, -34), (16, 12), (0, 2.2, 0.2)),
        ("face", (14, -14), (12, 12), (0.6, 1.6, 0.2)),
    ),
    # inner ends of the brows up
    (("face", (14, 48), (13, 14), (-0.4, 2.8, 0.4)),),
    # outer ends of the brows up
    (("face", (46, 48), (14, 14), (0, 2.6, 0)),),
    # cheeks blown
    (("face", (42, -38), (18, 18), (2.6, 0, 2.2)),),
    # eyes narrowed
    (
        ("lower lid", (31, 25), (26, 20), (0, 1.6, 0.2)),
        ("upper lid", (31, 25), (26, 20), (0, -1.0, 0.2)),
        ("face", (42, 6), (16, 10), (0, 1.2, 0.6)),
    ),
    # mouth wide
    (("face", (27, -45), (16, 14), (3.0, 0, -1.4)),),
    # lower lip out
    (("lower lip", (0, -54), (22, 10), (0, 0.8, 2.4)), ("face", (0, -74), (18, 10), (0, 1.2, 0.6))),
    # lips pressed
    (
        ("upper lip", (0, -38), (26, 8), (0, -0.8, -1.4)),
        ("lower lip", (0, -51), (26, 8), (0, 0.8, -1.4)),
    ),
    # upper lip in a bow
    (("upper lip", (0, -36), (14, 10), (0, 2.0, 1.0)),),
    # lower lip square
    (("lower lip", (16, -54), (12, 12), (0.8, -2.2, 0)),),
    # nose wrinkled
    (("face", (9, 8), (10, 14), (0, 1.2, 0.8)), ("face", (10, 42), (12, 10), (0, -1.4, 0.4))),
)
SIDED: Sequence[Sequence[Push]] = (
    # the same on one side: the pushes at x > 0 alone, then (by its twin) at x < 0
    (("face", (26, -43), (16, 13), (2.4, 2.6, -1.2)),),
    (("face", (34, 50), (24, 14), (0, 2.6, 0.3)),),
    (("upper lid", (31, 25), (26, 20), (0, -2.4, 0.4)),),
    (("face", (42, -38), (16, 16), (1.8, 0, 1.6)),),
)
SHIFT: Push = ("face", (0, -48), (32, 22), (2.4, 0, 0))
"""Mouth to one side."""


def expression_directions(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """Displacements [5023, 3, 100], the largest (root mean square over vertices) first."""
    regions = _regions(topology, vertices)
    both: tuple[int, ...] = (1, -1)
    actions = [(pushes, both) for pushes in ACTIONS]
    actions += [(pushes, (side,)) for pushes in SIDED for side in both]
    named = [
        sum(_pushed(vertices, regions, push, sides) for push in pushes) for pushes, sides in actions
    ]
    named.append(_pushed(vertices, regions, SHIFT, both))
    random = waves(vertices, count=COUNT - len(named), seed=2, longest=0.12, shortest=0.05)
    x, y, _ = vertices.T
    lively = np.exp(-((x / 0.045) ** 2) - ((y + 0.045) / 0.035) ** 2)
    lively += 0.6 * np.exp(-((x / 0.055) ** 2) - ((y - 0.045) / 0.022) ** 2)
    rank = np.arange(random.shape[-1])
    random *= LARGEST_WAVE / (1 + rank / 8) * (lively * regions["face"])[:, None, None]
    return largest_first(np.stack(named, axis=-1), random)


def _pushed(
    vertices: np.ndarray, regions: dict[str, np.ndarray], push: Push, sides: Sequence[int]
) -> np.ndarray:
    region, centre, reach, move = push
    pushed = np.zeros_like(vertices)
    for side in sides if centre[0] else (1,):
        twin = np.array([side, 1, 1])
        offset = (vertices * twin)[:, :2] - np.array(centre) / 1000
        amount = regions[region] * np.exp(-((offset / np.array(reach) * 1000) ** 2).sum(axis=1))
        pushed += amount[:, None] * np.array(move) / 1000 * twin
    return pushed


def _regions(topology: Topology, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """How much each vertex [5023] belongs to what a push names."""
    still = np.zeros(len(vertices))
    skin = slice(0, topology.skin_count)
    face = still.copy()
    face[skin] = smooth_step(vertices[skin, 2], 0.02, 0.06)
    for mirror in (1, -1):  # whatever lies on an eyeball moves with the lids alone
        distance = np.sqrt(((vertices - EYE_CENTRE * (mirror, 1, 1)) ** 2).sum(axis=1))
        face *= smooth_step(distance, 0.014, 0.022)
    regions = {"face": face}
    mouth = topology.patches["mouth"]
    turn = np.arange(mouth.shape[1]) / mouth.shape[1]
    arch = np.sqrt(np.abs(np.sin(2 * np.pi * turn)))  # 0 at the corners
    inner = np.zeros(len(vertices), bool)
    inner[mouth[1:]] = True
    outer = face * ~inner
    middle = vertices[mouth[5], 1].mean()
    for name, chosen, sign in (("upper lip", turn <= 0.5, 1), ("lower lip", turn > 0.5, -1)):
        region = outer * smooth_step(sign * (vertices[:, 1] - middle), 0.002, 0.012)
        region[mouth[1:, chosen]] = arch[chosen]
        regions[name] = region
    fall = np.array([0, 0.1, 0.35, 0.75, 1.0, 0.5, 0.0])  # border, orbit ... margin, socket
    for name, sign in (("upper lid", 1), ("lower lid", -1)):
        region = still.copy()
        for side in ("left", "right"):
            eye = topology.patches[f"{side}_eye"]
            wave = np.sin(2 * np.pi * np.arange(eye.shape[1]) / eye.shape[1])
            region[eye] = fall[:, None] * np.maximum(sign * wave, 0)
        regions[name] = region
    return regions
