"""The 300 shape directions of the built-in head: who somebody is (SPEC 8).

Each direction is a displacement in metres for one standard deviation. A few dozen are named
traits; the rest are smooth random fields. All are evaluated at anchors, which draw everything
near an eye to the eye's centre: lids and eyeball move as one.
"""

import numpy as np

from trans3dhead.head.builtin.fields import largest_first, waves
from trans3dhead.head.builtin.patches import EYE_CENTRE
from trans3dhead.head.builtin.skull import smooth_step
from trans3dhead.head.builtin.topology import Topology

COUNT = 300
LARGEST_WAVE = 0.0009
"""Metres that the first random direction moves the head."""

STRETCHES = np.array(
    [
        # growth along x, y, z for one standard deviation
        [0.028, 0.028, 0.028],  # size
        [-0.010, 0.030, -0.005],  # long or round
        [0.026, -0.004, -0.012],  # broad or deep
    ]
)
TRAITS = np.array(
    [
        # centre x, y, z | reach x, y, z (millimetres) | move x, y, z (mm); mirrored where x > 0
        [50, -65, 10, 30, 35, 50, 3.2, 0, 0],  # width of the jaw
        [0, -85, 85, 30, 30, 35, 0, -3.0, 0.5],  # length of the chin
        [0, -80, 90, 28, 22, 30, 0, 0, 2.8],  # chin forward
        [0, -95, 30, 50, 30, 60, 0, -3.0, -1.0],  # depth below the jaw
        [0, -8, 118, 14, 16, 30, 0, 0, 2.6],  # nose forward
        [0, -10, 112, 24, 12, 25, 0, -2.4, 0],  # nose long
        [13, -13, 100, 9, 9, 16, 1.5, 0, 0],  # wings of the nose
        [0, 18, 108, 9, 14, 20, 0, 0, 2.0],  # bridge
        [31, 25, 70, 22, 20, 30, 1.6, 0, 0],  # eyes apart
        [31, 25, 70, 26, 16, 30, 0, 1.6, 0],  # eyes high
        [31, 25, 70, 24, 16, 30, 0, 0, -1.8],  # eyes deep
        [28, 47, 95, 26, 10, 25, 0, 0, 2.0],  # ridge of the brows
        [28, 48, 95, 28, 9, 25, 0, 1.8, 0],  # brows high
        [52, 0, 65, 22, 18, 35, 2.4, 0, 1.2],  # cheekbones
        [45, -35, 60, 22, 22, 35, 2.6, 0, 1.4],  # full cheeks
        [20, -44, 92, 20, 14, 25, 1.8, 0, -0.6],  # wide mouth
        [0, -35, 98, 26, 8, 20, 0, 0.7, 1.4],  # upper lip
        [0, -55, 98, 24, 9, 20, 0, -0.7, 1.4],  # lower lip
        [0, -44, 98, 34, 18, 30, 0, 1.7, 0],  # mouth high
        [0, 90, 90, 60, 30, 40, 0, 0, 3.0],  # forehead
        [0, 75, -100, 70, 60, 50, 0, 0, -3.4],  # back of the head
        [0, 145, -10, 80, 40, 90, 0, 3.6, 0],  # crown
        [70, 90, -10, 40, 45, 80, 3.0, 0, 0],  # temples and sides
        [76, 3, -18, 14, 36, 26, 2.2, 0, -1.0],  # ears stand out
        [76, 22, -18, 14, 22, 26, 0, 2.2, 0],  # ears tall
        [76, -20, -18, 14, 16, 26, 0, -1.8, 0],  # lobes
        [45, -130, -20, 40, 40, 60, 3.4, 0, 0],  # broad neck
        [0, -120, 20, 50, 40, 40, 0, 0, 3.0],  # throat
        [0, -110, -75, 60, 50, 40, 0, 0, -3.0],  # nape
    ]
)


def eye_anchors(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """Points [5023, 3] to evaluate fields at: near an eye they are the eye's centre."""
    anchors = vertices.copy()
    for mirror, eyeball in zip((1, -1), topology.eyeballs, strict=True):
        centre = EYE_CENTRE * (mirror, 1, 1)
        distance = np.sqrt(((vertices - centre) ** 2).sum(axis=1))
        hold = 1 - smooth_step(distance, 0.017, 0.034)
        hold[eyeball] = 1
        anchors += hold[:, None] * (centre - vertices)
    return anchors


def shape_directions(topology: Topology, vertices: np.ndarray) -> np.ndarray:
    """Displacements [5023, 3, 300], the largest (root mean square over vertices) first."""
    anchors = eye_anchors(topology, vertices)
    named = [(anchors - (0, 0.02, -0.01)) * stretch for stretch in STRETCHES]
    for trait in TRAITS / 1000:
        centre, reach, move = trait[:3], trait[3:6], 1.25 * trait[6:]
        push = np.exp(-(((anchors - centre) / reach) ** 2).sum(axis=1, keepdims=True)) * move
        if centre[0] > 0:
            twin = (-1, 1, 1)
            other = ((anchors - centre * twin) / reach) ** 2
            push += np.exp(-other.sum(axis=1, keepdims=True)) * (move * twin)
        named.append(push)
    random = waves(anchors, count=COUNT - len(named), seed=1, longest=0.40, shortest=0.08)
    rank = np.arange(random.shape[-1])
    random *= LARGEST_WAVE / (1 + rank / 12) ** 1.1
    return largest_first(np.stack(named, axis=-1), random)
