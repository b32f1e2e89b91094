"""A network of a few thousand weights that still has every part."""

from collections.abc import Iterator

import pytest
import torch

from trans3dhead.network.config import BackboneConfig, NetworkConfig


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Each test draws the same numbers; the caller's generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def small() -> NetworkConfig:
    """32 px, a 4x4 memory, d = 16, 60 head parameters."""
    return NetworkConfig(
        backbone=BackboneConfig(block="basic", depths=(1, 1), width=8),
        image_size=32,
        hidden=16,
        heads=4,
        feedforward=32,
        parameters=60,
    )
