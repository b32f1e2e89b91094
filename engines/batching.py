"""Any number of images through an engine whose batch sizes are limited."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.manifest import BatchProfile
from engines.runtime import Engine

Array = npt.NDArray[Any]


def infer_all(
    engine: Engine, images: Array, done: Callable[[int], None] = lambda count: None
) -> dict[str, Array]:
    """The engine's answers to n images, in their order.

    Batches have the optimum of the first profile. A last batch that is too small for every
    profile is filled up with copies of its last image, whose answers are dropped.

    Args:
        images: [n, S, S, 3] uint8 RGB crops, n at least 1.
        done: called with the number of images answered so far.

    Returns:
        Every output of the contract, [n, ...].
    """
    profiles = engine.manifest.profiles
    step = profiles[0].opt
    parts: list[dict[str, Array]] = []
    for start in range(0, len(images), step):
        batch = images[start : start + step]
        missing = size_for(len(batch), profiles) - len(batch)
        filled = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        answers = engine.infer({"image": filled})
        parts.append({name: array[: len(batch)] for name, array in answers.items()})
        done(start + len(batch))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def size_for(count: int, profiles: tuple[BatchProfile, ...]) -> int:
    """The smallest batch size, at least `count`, that a profile allows."""
    return min(max(count, profile.min) for profile in profiles if count <= profile.max)
