"""Any number of images through limited batches: nothing lost, nothing reordered."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.batching import infer_all
from engines.manifest import BatchProfile


class Echo:
    """Answers each image with its first pixel, and remembers the batch sizes it saw."""

    def __init__(self, *profiles: tuple[int, int, int]) -> None:
        self.manifest = SimpleNamespace(
            profiles=tuple(BatchProfile(min=a, opt=b, max=c) for a, b, c in profiles)
        )
        self.batches: list[int] = []

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        image = inputs["image"]
        self.batches.append(len(image))
        assert any(p.min <= len(image) <= p.max for p in self.manifest.profiles)
        return {"first": image[:, 0, 0, :1].astype(np.float32)}


def images(count: int) -> np.ndarray:
    return np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 2, 2, 3))


@pytest.mark.parametrize(
    ("profiles", "count", "batches"),
    [
        ([(4, 4, 4)], 10, [4, 4, 4]),
        ([(1, 1, 1)], 3, [1, 1, 1]),
        ([(1, 4, 8)], 10, [4, 4, 2]),
        ([(3, 4, 8)], 9, [4, 4, 3]),
        ([(8, 8, 8), (1, 1, 2)], 9, [8, 1]),
    ],
)
def test_every_image_is_answered_once_in_order(
    profiles: list[tuple[int, int, int]], count: int, batches: list[int]
) -> None:
    engine, seen = Echo(*profiles), []
    answers = infer_all(engine, images(count), seen.append)  # type: ignore[arg-type]
    np.testing.assert_array_equal(answers["first"][:, 0], np.arange(count))
    assert engine.batches == batches
    assert seen[-1] == count
