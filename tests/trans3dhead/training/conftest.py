"""A few rendered heads and a preset so small that a step takes hundredths of a second."""

from dataclasses import replace
from pathlib import Path

import pytest

from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.config import BackboneConfig
from trans3dhead.presets import Preset, preset
from trans3dhead.synth.dataset import write_dataset
from trans3dhead.training.labels import LabelledHeads, read_labels

SEED = 3


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 heads to train on and 6 to measure on."""
    folder = tmp_path_factory.mktemp("heads")
    for split, count in (("train", 16), ("val", 6)):
        write_dataset(folder, split, count, SEED, builtin_head(), size=96, workers=1)
    return folder


@pytest.fixture(scope="session")
def heads(data: Path) -> LabelledHeads:
    """The training split's labels."""
    return read_labels(HeadDataset(data, "train"), builtin_head())


@pytest.fixture(scope="session")
def small() -> Preset:
    return small_preset()


def small_preset() -> Preset:
    """The full model with every part as small as it gets, trained for 30 steps."""
    tiny = preset("tiny")
    return replace(
        tiny,
        name="small",
        network=replace(
            tiny.network,
            backbone=BackboneConfig(block="basic", depths=(1, 1, 1), width=8),
            image_size=64,
            hidden=32,
            heads=2,
            feedforward=32,
        ),
        training=replace(tiny.training, samples=30 * 8, batch=8, warmup_steps=5),
    )
