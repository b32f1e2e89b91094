"""What several tests of throughput need."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of the smallest preset."""
    torch = pytest.importorskip("torch")
    from trans3dhead.head.builtin import builtin_head
    from trans3dhead.network.model import build_network
    from trans3dhead.presets import tiny
    from trans3dhead.training.checkpoint import CheckpointRecord, HeadRecord, save_checkpoint

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    record = CheckpointRecord(
        preset=tiny(), head=HeadRecord.of(builtin_head()), items=0, samples_seen=0, minutes=0.0
    )
    save_checkpoint(path, build_network(tiny().network), record)
    return path
