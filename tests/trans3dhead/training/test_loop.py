"""The loop learns, repeats itself exactly, and stops where numbers end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.presets import Preset
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.log import TrainingLog
from trans3dhead.training.loop import Trained, train
from trans3dhead.training.samples import reduce
from trans3dhead.training.validation import constant_answers, validate

HEAD = builtin_head()


def run(small: Preset, heads: LabelledHeads, path: Path, *, workers: int = 0) -> Trained:
    with TrainingLog(path) as log:
        return train(small, HEAD, heads, log, workers=workers)


def shortened(preset: Preset, **changes: object) -> Preset:
    return replace(preset, training=replace(preset.training, **changes))


def test_thirty_steps_lower_the_loss_and_are_written_down(
    small: Preset, heads: LabelledHeads, tmp_path: Path
) -> None:
    trained = run(small, heads, tmp_path / "log.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert {"landmarks", "shape", "reprojection", "euler"} < lines[0].keys()
    assert trained.samples_seen == 240
    assert not trained.network.training


def test_equal_seeds_give_equal_weights_whatever_the_workers(
    small: Preset, heads: LabelledHeads, tmp_path: Path
) -> None:
    short = shortened(small, samples=8 * 4)
    one = run(short, heads, tmp_path / "a").network.state_dict()
    torch.rand(7)  # what was drawn before does not matter
    other = run(short, heads, tmp_path / "b", workers=2).network.state_dict()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    third = run(shortened(short, seed=1), heads, tmp_path / "c").network.state_dict()
    assert not torch.equal(one["projection.weight"], third["projection.weight"])


def test_crops_grow_from_a_quarter_over_half_to_their_whole_size(
    small: Preset, heads: LabelledHeads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = []

    def remembered(images: torch.Tensor, factor: int) -> torch.Tensor:
        factors.append(factor)
        return reduce(images, factor)

    monkeypatch.setattr("trans3dhead.training.loop.reduce", remembered)
    changed = shortened(small, samples=8 * 8, quarter_until=0.25, half_until=0.75)
    run(changed, heads, tmp_path / "log.jsonl")
    assert factors == [4, 4, 2, 2, 2, 2, 1, 1]


def test_a_reduced_pixel_is_the_mean_of_those_it_stands_for() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert reduce(image, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert reduce(image, 4).item() == 7.5
    assert reduce(image, 1) is image


def test_bfloat16_is_computed_where_it_is_asked_for(
    small: Preset, heads: LabelledHeads, tmp_path: Path
) -> None:
    short = shortened(small, samples=8)
    full = run(short, heads, tmp_path / "a").network
    low = run(shortened(short, precision="bfloat16"), heads, tmp_path / "b").network
    assert all(parameter.dtype == torch.float32 for parameter in low.parameters())
    assert not torch.equal(full.projection.weight, low.projection.weight)


def test_a_clock_ends_the_training(small: Preset, heads: LabelledHeads, tmp_path: Path) -> None:
    trained = run(shortened(small, samples=None, minutes=1 / 60), heads, tmp_path / "log")
    assert 0.9 / 60 < trained.minutes < 10 / 60
    assert trained.samples_seen > 0


def test_a_loss_that_is_not_finite_stops_and_names_the_items(
    small: Preset, heads: LabelledHeads, tmp_path: Path
) -> None:
    broken = replace(heads, euler=heads.euler.copy())
    broken.euler[11] = np.nan
    with pytest.raises(UserError) as caught:
        run(shortened(small, batch=16), broken, tmp_path / "log")
    message = str(caught.value)
    assert "\n" not in message
    assert "euler nan" in message and "shape 0." in message and "step 0" in message
    assert heads.item_id(11) in message


def test_a_network_that_answers_the_average_face_scores_as_the_average_face(
    small: Preset, heads: LabelledHeads
) -> None:
    from trans3dhead.network.model import build_network
    from trans3dhead.training.average_face import average_face

    size = small.network.image_size
    face = average_face(heads, size)
    network = build_network(small.network, torch.from_numpy(face))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    found, expected = validate(network, heads, size, workers=0), constant_answers(heads, face, size)
    assert found["nme"] == pytest.approx(expected["average_face_nme"], rel=1e-5)
    assert found["pose_error"] == pytest.approx(expected["frontal_pose_error"], rel=1e-5)
