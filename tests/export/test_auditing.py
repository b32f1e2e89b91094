"""The largest value of each module, and which of them half precision may not hold."""

import copy
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from export.auditing import HALF_LIMIT, MARGIN, largest_values, near_overflow
from export.deployed import Deployed
from export.exporting import ExportReport
from export.graph import trace
from export.recipes import RECIPES
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.model import Trans3DHead

SIZE = 64
PLANTED = "landmark_branch.layers.1.feedforward"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def grown(network: Trans3DHead, config: NetworkConfig) -> ir.Model:
    """A network that answers as before, with large numbers inside one feed-forward part."""
    planted = copy.deepcopy(network)
    part = planted.get_submodule(PLANTED)
    with torch.no_grad():
        for name, factor in (("linear1", 2.0**14), ("linear2", 2.0**-14)):
            part.get_submodule(name).weight *= factor
        part.get_submodule("linear1").bias *= 2.0**14
    return trace(Deployed(planted, config), size=SIZE, batch=2)


def test_an_honest_network_is_far_from_the_limit(traced: ir.Model, images: np.ndarray) -> None:
    largest = largest_values(traced, images, None)
    assert largest["normalise"] == 255  # pixels, before the mean is taken off
    assert all(0 < value < 1000 for value in largest.values())
    assert near_overflow(largest, RECIPES.values()) == {}


def test_the_values_are_those_of_the_modules(
    traced: ir.Model, images: np.ndarray, network: Trans3DHead, config: NetworkConfig
) -> None:
    """Against hooks in PyTorch, on a module whose result nothing fuses away."""
    deployed, seen = Deployed(network, config), []
    module = deployed.get_submodule("projection")
    module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        deployed(torch.from_numpy(images))
    found = largest_values(traced, images, None)["projection.conv"]
    assert found == pytest.approx(float(seen[0].abs().max()), rel=1e-3)


def test_a_static_graph_is_fed_in_its_own_batches(grown: ir.Model, images: np.ndarray) -> None:
    some, alone = (largest_values(grown, part, 2) for part in (images, images[4:]))
    assert all(some[module] >= alone[module] for module in alone)


def test_the_module_with_large_values_is_named(grown: ir.Model, images: np.ndarray) -> None:
    found = near_overflow(largest_values(grown, images, 2), [RECIPES["fp16"]])
    assert PLANTED + ".linear1" in found
    assert set(found) <= {PLANTED, PLANTED + ".linear1"}
    assert all(value > HALF_LIMIT / MARGIN for value in found.values())


def test_only_what_a_recipe_computes_in_half_is_named(grown: ir.Model, images: np.ndarray) -> None:
    largest = largest_values(grown, images, 2)
    spared = replace(RECIPES["fp16"], name="spared", kept=(PLANTED,))
    unharmed = [RECIPES[name] for name in ("fp32", "bf16", "fp16-backbone")]
    assert near_overflow(largest, [spared, *unharmed]) == {}


def test_what_is_not_a_number_is_named(traced: ir.Model) -> None:
    assert near_overflow({"backbone.conv1": float("nan")}, [RECIPES["fp16"]]).keys() == {
        "backbone.conv1"
    }


def test_a_bundle_records_them(mesh_bundle: ExportReport) -> None:
    contract = mesh_bundle.contract
    assert contract.largest["backbone.conv1"] > 0
    assert mesh_bundle.near_overflow == {}
