"""A network smaller than `tiny` with every part of the full one, exported once a session."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch

from export.deployed import Deployed
from export.exporting import ExportReport, export_bundle
from export.graph import trace
from export.untrained import save_untrained, untrained_network
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.model import HeadModel
from trans3dhead.network.config import BackboneConfig, NetworkConfig
from trans3dhead.network.model import Trans3DHead
from trans3dhead.presets import Preset, preset

IMAGE_SIZE = 64
STATIC_BATCH = 2


def mini(**switches: Any) -> Preset:
    """The full model with 64 pixels, 64 cells and a width of 32."""
    backbone = BackboneConfig(block="bottleneck", depths=(1, 1), width=8)
    size = {"image_size": IMAGE_SIZE, "hidden": 32, "heads": 2, "feedforward": 64}
    paper = preset("paper")
    network = replace(paper.network, **({"backbone": backbone} | size | switches))
    return replace(paper, name="mini", rows=(), network=network)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small only wait for more threads, above all where other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return builtin_head()


@pytest.fixture(scope="session")
def config() -> NetworkConfig:
    return mini().network


@pytest.fixture(scope="session")
def network() -> Trans3DHead:
    return untrained_network(mini())


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, head: HeadModel) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "mini.safetensors"
    save_untrained(path, mini(), head)
    return path


@pytest.fixture(scope="session")
def traced(network: Trans3DHead, config: NetworkConfig, head: HeadModel) -> ir.Model:
    """The float32 graph of the mesh variant with an open batch; copy before changing it."""
    return trace(Deployed(network, config, head=head), size=IMAGE_SIZE, batch=None)


@pytest.fixture(scope="session")
def mesh_bundle(
    checkpoint: Path, traced: ir.Model, tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    """Mesh, open batch, all recipes; traced once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.exporting.trace", lambda deployed, size, batch: traced)
        return export_bundle(
            checkpoint,
            tmp_path_factory.mktemp("mesh") / "bundle",
            variant="mesh",
            recipes=("fp32", "fp16", "fp16-backbone", "bf16", "int8-backbone"),
            batch=None,
            count=5,
        )


@pytest.fixture(scope="session")
def static_bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Parameters, a fixed batch, the recipes' own forms."""
    out = tmp_path_factory.mktemp("static") / "bundle"
    recipes = ("fp32", "fp16", "int8-backbone")
    return export_bundle(checkpoint, out, recipes=recipes, batch=STATIC_BATCH, count=5)


@pytest.fixture
def traced_before(traced: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of the mesh variant with an open batch take the graph that is there."""
    monkeypatch.setattr("export.exporting.trace", lambda deployed, size, batch: traced)
    monkeypatch.setattr("export.exporting.trace_plain", lambda network, size, batch: traced)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Makes tracing fail: bad input must be refused before minutes are spent."""
    called = []

    def refuse(*_: object, **__: object) -> None:
        called.append(True)
        raise AssertionError("traced in spite of bad input")

    monkeypatch.setattr("export.exporting.trace", refuse)
    return lambda: bool(called)
