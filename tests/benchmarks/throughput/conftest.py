"""What several tests of throughput need."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from benchmarks.throughput.results import REPORT_SCHEMA

Validator = jsonschema.Draft202012Validator


@pytest.fixture(scope="session")
def validator_of() -> Callable[[Path], Validator]:
    """What holds reports to one of the schemas that ship; they refer to that of `bench run`."""
    shared = Resource.from_contents(json.loads(REPORT_SCHEMA.read_text()))
    registry: Any = Registry().with_resource(REPORT_SCHEMA.name, shared)

    def of(path: Path) -> Validator:
        schema = json.loads(path.read_text())
        Validator.check_schema(schema)
        return Validator(schema, registry=registry)

    return of


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
