import copy
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export.deployed import Deployed
from export.reference import eager_answers
from export.untrained import untrained_network
from trans3dhead.head.model import HeadModel
from trans3dhead.network.config import BackboneConfig, NetworkConfig
from trans3dhead.network.model import Trans3DHead

from .conftest import mini

TOLERANCES = {
    "landmarks": 1e-3,
    "params": 1e-5,
    "rotation": 1e-5,
    "vertices": 1e-5,
    "projected": 1e-2,
}
BRANCHES = ("none", "landmarks", "both")
SWITCHES: list[dict[str, Any]] = [
    {"qamem": qamem, "mqinit": mqinit, "marr": marr}
    for qamem, mqinit, marr in product(BRANCHES, BRANCHES, (True, False))
]
SWITCHES += [
    {"encoders": 1},
    {"encoders": 2, "mqinit": "none"},
    {"decoders": 1},
    {"decoders": 3},
    {"single_task": True},
    {"single_task": True, "qamem": "both", "mqinit": "both"},
    {"average_face": "learnable"},
    {"average_face": "random"},
]


def crops(size: int, count: int = 3) -> np.ndarray:
    """Noise, and one black and one white image: padded borders show most there."""
    images = np.random.default_rng(5).integers(0, 256, (count, size, size, 3), np.uint8)
    images[0], images[1] = 0, 255
    return images


def differences(
    network: Trans3DHead, config: NetworkConfig, head: HeadModel | None = None
) -> dict[str, tuple[float, float]]:
    """By output: largest difference of the deployed form, and the answers' spread over images."""
    images = crops(config.image_size)
    expected = eager_answers(images, network, head)
    with torch.inference_mode():
        found = Deployed(network, config, head=head)(torch.from_numpy(images))
    assert set(found) == set(expected)
    return {
        name: (
            float(np.abs(found[name].numpy() - expected[name]).max()),
            float(np.ptp(expected[name], axis=0).max()),
        )
        for name in expected
    }


def check(found: dict[str, tuple[float, float]]) -> None:
    for name, (difference, spread) in found.items():
        assert difference <= TOLERANCES[name], name
        assert spread > 100 * TOLERANCES[name], f"{name} says the same of every image"


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(map(str, s.values())))
def test_the_deployed_form_answers_as_the_trained_network(switches: dict[str, Any]) -> None:
    preset = mini(**switches)
    found = differences(untrained_network(preset), preset.network)
    assert ("landmarks" in found) == (not preset.network.single_task)
    check(found)


@pytest.mark.parametrize("parameters", [60, 160, 413])
def test_the_mesh_is_the_head_model_s_own(parameters: int, head: HeadModel) -> None:
    preset = mini(parameters=parameters)
    found = differences(untrained_network(preset), preset.network, head)
    assert {"vertices", "projected"} <= set(found)
    check(found)


def test_basic_blocks_fold_too() -> None:
    preset = mini(backbone=BackboneConfig(block="basic", depths=(2, 1), width=8))
    check(differences(untrained_network(preset), preset.network))


def test_a_wrong_fold_is_seen(
    network: Trans3DHead, config: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.folding.IMAGE_STD", (0.229, 0.224, 0.226))
    found = differences(network, config)
    assert found["landmarks"][0] > TOLERANCES["landmarks"]
    assert found["params"][0] > TOLERANCES["params"]


def test_the_trained_network_stays_as_it_is(
    network: Trans3DHead, config: NetworkConfig, head: HeadModel
) -> None:
    before = copy.deepcopy(network.state_dict())
    kinds = [type(module) for module in network.modules()]
    learns = [parameter.requires_grad for parameter in network.parameters()]
    deployed = Deployed(network, config, head=head)
    for tensor in (*deployed.parameters(), *deployed.buffers()):
        tensor.mul_(0)  # a shared tensor would show below
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert [type(module) for module in network.modules()] == kinds
    assert [parameter.requires_grad for parameter in network.parameters()] == learns


def test_a_network_in_training_is_deployed_without_dropout(
    network: Trans3DHead, config: NetworkConfig
) -> None:
    training = copy.deepcopy(network).train()
    images = torch.from_numpy(crops(config.image_size))
    with torch.inference_mode():
        found = Deployed(training, config)(images)
        expected = Deployed(network, config)(images)
    assert training.training
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_constant_is_not_computed_again(
    network: Trans3DHead, config: NetworkConfig
) -> None:
    deployed = Deployed(network, config)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    names = [name for name, _ in deployed.named_modules()]
    assert "landmark_branch.layers.0.self_attention" in names  # MQinit: the image decides
    assert "parameter_branch.layers.0.self_attention" not in names
    assert "parameter_branch.layers.1.self_attention" in names
    assert "mesh" not in names


def test_modules_keep_the_names_of_the_trained_ones(
    network: Trans3DHead, config: NetworkConfig
) -> None:
    trained = {name for name, _ in network.named_modules()}
    for name in (
        "backbone.layer1.0.conv1",
        "landmark_branch.mqinit",
        "landmark_branch.layers.0.qamem",
        "landmark_branch.regression",
        "parameter_branch.layers.1.cross_attention.q_proj",
        "parameter_branch.layers.1.feedforward.linear1",
        "parameter_branch.regression",
    ):
        assert name in trained
        Deployed(network, config).get_submodule(name)
