"""The network as a whole: every row of the tables, its shapes, and how it starts."""

from dataclasses import replace

import pytest
import torch

from engines.errors import UserError
from trans3dhead.head.layout import layout_of
from trans3dhead.head.torch_rotation import rotation_from_six_d
from trans3dhead.network.config import AverageFace, Branches, NetworkConfig
from trans3dhead.network.model import build_network
from trans3dhead.presets import PRESETS, preset


def at_size_of(small: NetworkConfig, switches: NetworkConfig) -> NetworkConfig:
    """The switches of one configuration at the size of another."""
    sizes = ("backbone", "image_size", "hidden", "heads", "feedforward")
    return replace(switches, **{name: getattr(small, name) for name in sizes})


def images(config: NetworkConfig, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, config.image_size, config.image_size)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_answers_in_the_documented_shapes(name: str, small: NetworkConfig) -> None:
    config = at_size_of(small, preset(name).network)
    answers = build_network(config)(images(config))
    expected = {"landmarks": (2, 68, 2), "params": (2, config.parameters)}
    if config.single_task:
        del expected["landmarks"]
    assert {key: tuple(value.shape) for key, value in answers.items()} == expected
    assert all(value.isfinite().all() for value in answers.values())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_answers_in_its_own_size(name: str) -> None:
    config = preset(name).network
    with torch.device("meta"):
        answers = build_network(config)(images(config))
    assert answers["params"].shape == (2, config.parameters)


@pytest.mark.parametrize("name", ["tiny", "layers-1-2"])
def test_a_smaller_image_is_answered_by_the_positions_of_its_own_grid(name: str) -> None:
    full = replace(preset(name).network, backbone=preset("tiny").network.backbone, image_size=128)
    network = build_network(full).eval()
    smaller = build_network(replace(full, image_size=64)).eval()
    smaller.load_state_dict(network.state_dict())
    batch = torch.randn(2, 3, 64, 64)
    for key, value in smaller(batch).items():
        torch.testing.assert_close(network(batch)[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["tiny", "layers-1-2", "mqinit-both"])
def test_a_batch_equals_its_singles(name: str, small: NetworkConfig) -> None:
    config = at_size_of(small, preset(name).network)
    network = build_network(config).eval()
    batch = images(config, 3)
    together = network(batch)
    for i in range(3):
        alone = network(batch[i : i + 1])
        for key, value in alone.items():
            torch.testing.assert_close(together[key][i : i + 1], value, rtol=1e-5, atol=1e-5)


def test_evaluation_is_repeatable_and_training_is_not(small: NetworkConfig) -> None:
    network = build_network(small)
    batch = images(small)
    network.eval()
    assert torch.equal(network(batch)["params"], network(batch)["params"])
    network.train()
    assert not torch.equal(network(batch)["params"], network(batch)["params"])


def test_training_starts_from_the_average_face_and_a_frontal_head(small: NetworkConfig) -> None:
    average = torch.rand(68, 2)
    answers = build_network(small, average).eval()(images(small))
    assert (answers["landmarks"] - average).abs().max() < 0.05
    rotation = rotation_from_six_d(answers["params"][:, layout_of(60).rotation])
    frontal = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    assert (rotation - frontal).abs().max() < 0.1


def test_each_layer_adds_the_residual_of_its_own_state(small: NetworkConfig) -> None:
    network = build_network(replace(small, decoders=3), torch.rand(68, 2)).eval()
    branch = network.landmark_branch
    assert branch is not None
    states: list[torch.Tensor] = []
    for layer in branch.layers:
        layer.register_forward_hook(lambda *call: states.append(call[-1]))
    found = network(images(small))["landmarks"]
    weights = branch.regression.state_dict()
    expected = weights["average_face"]
    for i, state in enumerate(states):
        head = f"residual_heads.{i}"
        expected = expected + state @ weights[f"{head}.weight"].T + weights[f"{head}.bias"]
    assert len(states) == 3
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("kind", "trained"), [("fixed", False), ("learnable", True)])
def test_the_average_face_is_kept_as_the_table_says(
    kind: AverageFace, trained: bool, small: NetworkConfig
) -> None:
    average = torch.rand(68, 2)
    network = build_network(replace(small, average_face=kind), average)
    path = "landmark_branch.regression.average_face"
    assert torch.equal(network.state_dict()[path], average)
    assert (path in dict(network.named_parameters())) is trained


def test_a_random_average_face_ignores_the_given_one(small: NetworkConfig) -> None:
    average = torch.rand(68, 2)
    network = build_network(replace(small, average_face="random"), average)
    path = "landmark_branch.regression.average_face"
    assert not torch.equal(network.state_dict()[path], average)
    assert path in dict(network.named_parameters())


@pytest.mark.parametrize(
    ("branches", "on_landmarks", "on_parameters"),
    [("none", False, False), ("landmarks", True, False), ("both", True, True)],
)
def test_switches_reach_the_branches_they_name(
    branches: Branches, on_landmarks: bool, on_parameters: bool, small: NetworkConfig
) -> None:
    for config, module in (
        (replace(small, qamem=branches), "layers.1.qamem"),
        (replace(small, mqinit=branches), "mqinit"),
    ):
        names = dict(build_network(config).named_modules())
        assert (f"landmark_branch.{module}" in names) is on_landmarks
        assert (f"parameter_branch.{module}" in names) is on_parameters


def test_both_branches_look_where_positions_say(small: NetworkConfig) -> None:
    network = build_network(small).eval()
    batch = images(small)
    before = network(batch)
    network.position.zero_()  # without them, the memory's cells are a set
    after = network(batch)
    assert all(not torch.equal(before[key], after[key]) for key in before)


def test_an_average_face_of_another_shape_is_refused(small: NetworkConfig) -> None:
    with pytest.raises(UserError, match=r"shape \(5, 2\); expected \(68, 2\)"):
        build_network(small, torch.rand(5, 2))


def test_the_answers_reach_every_weight(small: NetworkConfig) -> None:
    for config in (small, replace(small, qamem="both", mqinit="both", encoders=1, marr=False)):
        network = build_network(config)
        answers = network(images(config))
        sum(answer.square().sum() for answer in answers.values()).backward()
        assert all(weight.grad is not None for weight in network.parameters())


def test_branches_and_layers_share_no_weights(small: NetworkConfig) -> None:
    network = build_network(replace(small, qamem="both", mqinit="both"))
    storages = [weight.data_ptr() for weight in network.parameters()]
    assert len(set(storages)) == len(storages)


def test_images_of_a_batch_move_only_their_own_answers(small: NetworkConfig) -> None:
    network = build_network(small).eval()
    batch = images(small)
    before = network(batch)
    batch[1] += torch.randn_like(batch[1])
    after = network(batch)
    for key in before:
        assert torch.equal(before[key][0], after[key][0])
        assert not torch.equal(before[key][1], after[key][1])


NAMES_THAT_RECIPES_USE = (
    "backbone.conv1",
    "backbone.layer1.0.conv1",
    "projection",
    "landmark_branch.mqinit.linear",
    "landmark_branch.layers.0.self_attention.q_proj",
    "landmark_branch.layers.0.self_add_norm.norm",
    "landmark_branch.layers.1.cross_attention.out_proj",
    "landmark_branch.layers.1.qamem",
    "landmark_branch.layers.1.feedforward.linear2",
    "landmark_branch.regression.residual_heads.0",
    "parameter_branch.layers.0.cross_attention.k_proj",
    "parameter_branch.regression.head",
)


def test_module_names_stay_what_recipes_call_them(small: NetworkConfig) -> None:
    names = dict(build_network(small).named_modules())
    assert [name for name in NAMES_THAT_RECIPES_USE if name not in names] == []
