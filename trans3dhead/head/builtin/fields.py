"""Displacement fields over the head: smooth random ones, and a basis made of fields."""

import numpy as np

DIGITS = 8
"""Decimals kept of all measures: far above the last bits in which mathematics libraries differ,
so that the head's hash is the same on every machine, and far below what anybody can see."""


def largest_first(*parts: np.ndarray) -> np.ndarray:
    """Join fields [n, 3, k] along k, float32, the largest (root mean square) first."""
    # sizes[k] = sum_vc part[v, c, k]^2, rounded so that twins keep their order everywhere
    sizes = np.concatenate([np.einsum("vck,vck->k", part, part) for part in parts])
    joined = np.concatenate([part.round(DIGITS).astype(np.float32) for part in parts], axis=-1)
    order = np.argsort(-np.sqrt(sizes / len(joined)).round(DIGITS), kind="stable")
    return joined[..., order]


def waves(
    points: np.ndarray, *, count: int, seed: int, longest: float, shortest: float
) -> np.ndarray:
    """Vector fields of about unit size at points [n, 3]: [n, 3, count].

    Field k is a standing wave across the head times a plane wave along it; its length falls from
    `longest` to `shortest` metres over k. Three of four fields are mirror images of themselves,
    as faces nearly are.
    """
    # the legacy generator, because its stream is promised never to change
    random = np.random.RandomState(seed).random_sample
    length = longest * (shortest / longest) ** (np.arange(count) / max(count - 1, 1))
    height, turn = 2 * random(count) - 1, 2 * np.pi * random(count)
    flat = np.sqrt(1 - height**2)
    heading = np.stack([flat * np.cos(turn), flat * np.sin(turn), height])  # [3, count]
    wave = 2 * np.pi / length * heading
    across = points[:, :1] * wave[0]  # [n, count]
    even, odd = np.sqrt(2) * np.cos(across), np.sqrt(2) * np.sin(across)
    lopsided = np.arange(count) % 4 == 3
    even[:, lopsided], odd[:, lopsided] = odd[:, lopsided], even[:, lopsided]
    along = points[:, 1:] @ wave[1:]
    cosine, sine = np.cos(along), np.sin(along)
    phase = 2 * np.pi * random((3, count))
    fields = np.empty((len(points), 3, count))
    for axis in range(3):
        moved = cosine * np.cos(phase[axis]) - sine * np.sin(phase[axis])  # cos(along + phase)
        np.multiply(moved, odd if axis == 0 else even, out=fields[:, axis])
    return fields
