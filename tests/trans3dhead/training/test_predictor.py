import numpy as np
import pytest
import torch

from trans3dhead.network.config import IMAGE_MEAN, IMAGE_STD, BackboneConfig, NetworkConfig
from trans3dhead.network.model import Trans3DHead, build_network
from trans3dhead.training.predictor import NetworkPredictor

SIZE = 32


def small_network(**switches) -> Trans3DHead:
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            backbone=BackboneConfig(block="basic", depths=(1, 1), width=8),
            image_size=SIZE,
            hidden=16,
            heads=2,
            feedforward=16,
            parameters=60,
            **switches,
        )
    )


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)


def test_answers_are_the_networks_in_the_contracts_units(crops):
    network = small_network()
    found = NetworkPredictor(network, SIZE).predict(crops)
    images = (crops / 255 - np.array(IMAGE_MEAN)) / np.array(IMAGE_STD)
    with torch.no_grad():
        expected = network.eval()(torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32))
    assert {name: array.dtype for name, array in found.items()} == dict.fromkeys(
        ("params", "rotation", "landmarks"), np.float32
    )
    np.testing.assert_allclose(found["params"], expected["params"], atol=1e-5)
    np.testing.assert_allclose(found["landmarks"], expected["landmarks"] * SIZE, atol=1e-4)
    identity = found["rotation"] @ found["rotation"].transpose(0, 2, 1)
    np.testing.assert_allclose(identity, np.tile(np.eye(3), (3, 1, 1)), atol=1e-6)
    first_column = found["params"][:, 50:53]
    first_column /= np.linalg.norm(first_column, axis=1, keepdims=True)
    np.testing.assert_allclose(found["rotation"][:, :, 0], first_column, atol=1e-6)


def test_the_order_of_colours_matters(crops):
    predictor = NetworkPredictor(small_network(), SIZE)
    rgb, bgr = predictor.predict(crops), predictor.predict(crops[..., ::-1].copy())
    assert np.abs(rgb["params"] - bgr["params"]).max() > 1e-6


def test_a_batch_equals_its_singles(crops):
    predictor = NetworkPredictor(small_network(), SIZE)
    together = predictor.predict(crops)
    for i in range(len(crops)):
        for name, array in predictor.predict(crops[i : i + 1]).items():
            np.testing.assert_allclose(array[0], together[name][i], atol=1e-4)


def test_the_network_is_left_in_the_mode_it_was_in(crops):
    network = small_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = NetworkPredictor(network, SIZE).predict(crops)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    second = NetworkPredictor(network, SIZE).predict(crops)
    np.testing.assert_array_equal(first["params"], second["params"])  # no dropout
    assert not NetworkPredictor(network.eval(), SIZE).network.training


def test_a_timed_call_pays_for_no_change_of_mode(crops, monkeypatch):
    network = small_network().eval()
    for change in ("eval", "train"):
        monkeypatch.setattr(Trans3DHead, change, lambda self: pytest.fail("walked its modules"))
    NetworkPredictor(network, SIZE).predict(crops)


def test_single_task_networks_have_no_landmarks(crops):
    found = NetworkPredictor(small_network(single_task=True), SIZE).predict(crops)
    assert set(found) == {"params", "rotation"}
