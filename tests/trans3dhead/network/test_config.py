"""Configurations: the paper's values by default, and every bad field refused by its name."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from engines.errors import UserError
from engines.records import from_value
from trans3dhead.network.config import BackboneConfig, NetworkConfig


def test_defaults_are_the_papers_model() -> None:
    config = NetworkConfig()
    assert (config.backbone.stride, config.backbone.channels, config.grid) == (32, 2048, 8)


def test_three_stages_end_at_a_stride_of_sixteen() -> None:
    backbone = BackboneConfig(block="basic", depths=(2, 2, 2), width=24)
    assert (backbone.stride, backbone.channels) == (16, 96)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", 250),
        ("image_size", 0),
        ("hidden", 254),
        ("hidden", 256.0),
        ("heads", 7),
        ("heads", 0),
        ("feedforward", -1),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("encoders", -1),
        ("decoders", 0),
        ("landmarks", 0),
        ("parameters", 100),
        ("qamem", "params"),
        ("average_face", "mean"),
        ("mqinit", True),
    ],
)
def test_a_bad_field_is_named_with_its_value(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"NetworkConfig\.{field} is {value!r}; expected"):
        NetworkConfig(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("block", "dense"), ("depths", ()), ("depths", (2, 0)), ("width", 0)]
)
def test_a_bad_field_of_the_backbone_is_named(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"BackboneConfig\.{field} is "):
        BackboneConfig(**{field: value})


def test_a_configuration_survives_json(small: NetworkConfig) -> None:
    value = asdict(replace(small, qamem="both", marr=False))
    value["backbone"]["depths"] = list(value["backbone"]["depths"])
    assert from_value(NetworkConfig, value, "here") == replace(small, qamem="both", marr=False)
