"""TensorRT-RTX builds a plan of every graph: recipes, variants, batch kinds, forms of QAMem."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import onnx_ir as ir
import pytest

from engines.contract import Variant
from export.deployed import Deployed
from export.exporting import ExportReport
from export.forms import LOADERS
from export.graph import trace
from export.lowering import lower
from export.quantising import calibrate, quantise
from export.recipes import RECIPES, QAMemForm
from export.untrained import untrained_network
from trans3dhead.head.model import HeadModel
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.model import Trans3DHead
from trans3dhead.presets import preset

from .conftest import IMAGE_SIZE, STATIC_BATCH

SOURCES = list(product(get_args(Variant), ("static", "dynamic")))
GRAPHS = list(product(RECIPES, get_args(QAMemForm)))


def build(traced: ir.Model, recipe: str, form: QAMemForm, folder: Path) -> None:
    """Have TensorRT-RTX parse and build it; raises where it does not."""
    pytest.importorskip("tensorrt_rtx")
    _, load = LOADERS["TensorRT-RTX"]
    chosen = replace(RECIPES[recipe], qamem=form)
    lowered = lower(traced, chosen)
    if chosen.quantised:
        batch, *sides = (
            size if isinstance(size, int) else None for size in traced.graph.inputs[0].shape
        )
        images = np.random.default_rng(0).integers(0, 256, (batch or 2, *sides), dtype=np.uint8)
        quantise(lowered, chosen, calibrate(traced, chosen, images, batch))
    (folder / "graph.onnx").write_bytes(ir.to_proto(lowered).SerializeToString())
    load(str(folder / "graph.onnx"))


@pytest.fixture(scope="module", params=SOURCES, ids="-".join)
def small(
    request: pytest.FixtureRequest,
    network: Trans3DHead,
    config: NetworkConfig,
    head: HeadModel,
) -> ir.Model:
    """The float32 graph of a variant and a batch kind."""
    variant, batch = request.param
    if (variant, batch) == ("mesh", "dynamic"):
        traced: ir.Model = request.getfixturevalue("traced")
        return traced
    if (variant, batch) == ("params", "static"):
        report: ExportReport = request.getfixturevalue("static_bundle")
        return ir.load(report.folder / "fp32.onnx")
    deployed = Deployed(network, config, head=head if variant == "mesh" else None)
    return trace(deployed, size=IMAGE_SIZE, batch=STATIC_BATCH if batch == "static" else None)


@pytest.mark.parametrize(("recipe", "form"), GRAPHS)
def test_a_plan_is_built(small: ir.Model, recipe: str, form: QAMemForm, tmp_path: Path) -> None:
    build(small, recipe, form, tmp_path)


@pytest.fixture(scope="module", params=SOURCES, ids="-".join)
def full(request: pytest.FixtureRequest, head: HeadModel) -> ir.Model:
    """The paper's network likewise; the four of test_full_size.py are built by `make test`."""
    variant, batch = request.param
    paper = preset("paper")
    deployed = Deployed(
        untrained_network(paper), paper.network, head=head if variant == "mesh" else None
    )
    return trace(deployed, size=paper.network.image_size, batch=1 if batch == "static" else None)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "form"), GRAPHS)
def test_a_plan_of_the_full_size_is_built(
    full: ir.Model, recipe: str, form: QAMemForm, tmp_path: Path
) -> None:
    build(full, recipe, form, tmp_path)
