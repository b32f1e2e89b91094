"""The loop learns, repeats itself exactly, and stops where numbers end."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.rotation import FRONTAL
from trans3dhead.presets import Preset
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.loop import Progress, Training
from trans3dhead.training.samples import reduce
from trans3dhead.training.validation import constant_answers, validate
from trans3dhead.training.world import World

HEAD = builtin_head()


def run(small: Preset, heads: LabelledHeads, *, workers: int = 0) -> Training:
    """A training, taken to its end."""
    training = Training(small, HEAD, heads)
    for _ in training.steps(workers=workers):
        pass
    return training


def shortened(preset: Preset, **changes: object) -> Preset:
    return replace(preset, training=replace(preset.training, **changes))


def test_thirty_steps_lower_the_loss_and_every_tenth_tells_of_it(
    small: Preset, heads: LabelledHeads
) -> None:
    training = Training(small, HEAD, heads)
    found: list[Progress] = list(training.steps())
    assert [progress.step for progress in found] == list(range(1, 31))
    assert found[14].share == 0.5
    lines = [progress.line for progress in found if progress.line is not None]
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert {"landmarks", "shape", "reprojection", "euler"} < lines[0].keys()
    assert training.samples_seen == 240


def test_equal_seeds_give_equal_weights_whatever_the_workers(
    small: Preset, heads: LabelledHeads
) -> None:
    short = shortened(small, samples=8 * 4)
    one = run(short, heads).network.state_dict()
    torch.rand(7)  # what was drawn before does not matter
    other = run(short, heads, workers=2).network.state_dict()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    third = run(shortened(short, seed=1), heads).network.state_dict()
    assert not torch.equal(one["projection.weight"], third["projection.weight"])


def test_crops_grow_from_a_quarter_over_half_to_their_whole_size(
    small: Preset, heads: LabelledHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = []

    def remembered(images: torch.Tensor, factor: int) -> torch.Tensor:
        factors.append(factor)
        return reduce(images, factor)

    monkeypatch.setattr("trans3dhead.training.loop.reduce", remembered)
    changed = shortened(small, samples=8 * 8, quarter_until=0.25, half_until=0.75)
    run(changed, heads)
    assert factors == [4, 4, 2, 2, 2, 2, 1, 1]


def test_a_reduced_pixel_is_the_mean_of_those_it_stands_for() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert reduce(image, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert reduce(image, 4).item() == 7.5
    assert reduce(image, 1) is image


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_computed_where_it_is_asked_for(
    precision: str, small: Preset, heads: LabelledHeads
) -> None:
    short = shortened(small, samples=8 * 10, warmup_steps=0)
    full, low = (
        Training(shortened(short, precision=p), HEAD, heads) for p in ("float32", precision)
    )
    exact, rounded = (list(training.steps())[-1].line for training in (full, low))
    assert exact is not None and rounded is not None
    assert rounded["loss"] != exact["loss"]
    assert rounded["loss"] == pytest.approx(exact["loss"], rel=0.1)
    assert all(parameter.dtype == torch.float32 for parameter in low.network.parameters())


def test_a_step_that_overflows_half_is_left_out_and_the_scale_falls(
    small: Preset, heads: LabelledHeads
) -> None:
    half = shortened(small, precision="float16", samples=8 * 3)
    training = Training(half, HEAD, heads)
    scaler = training._update.scaler
    scaler._init_scale = 2.0**40
    before = training.network.projection.weight.clone()
    scales, moved = [], []
    for _ in training.steps():
        scales.append(scaler.get_scale())
        moved.append(not torch.equal(before, training.network.projection.weight))
    assert scales[0] == 2.0**39 and not moved[0]
    assert scales == sorted(scales, reverse=True)


def test_a_clock_ends_the_training(small: Preset, heads: LabelledHeads) -> None:
    training = run(shortened(small, samples=None, minutes=1 / 60), heads)
    assert 0.9 < training.budget.elapsed() < 10
    assert training.samples_seen > 0


def test_averaged_weights_lag_behind_and_are_what_counts(
    small: Preset, heads: LabelledHeads
) -> None:
    short = shortened(small, samples=8 * 12)
    plain = run(short, heads)
    training = Training(shortened(short, ema_decay=0.5), HEAD, heads)
    expected = training.network.projection.weight.detach().clone()
    for progress in training.steps():
        steps = progress.step - 1
        keep = min(0.5, (1 + steps) / (10 + steps))
        expected = keep * expected + (1 - keep) * training.network.projection.weight.detach()
    assert torch.equal(training.network.projection.weight, plain.network.projection.weight)
    assert torch.allclose(training.result.projection.weight, expected, atol=1e-6)
    assert not torch.allclose(expected, plain.network.projection.weight, atol=1e-6)
    statistics = "backbone.bn1.running_mean"
    assert torch.equal(
        training.result.get_buffer(statistics), training.network.get_buffer(statistics)
    )
    assert plain.result is plain.network


def test_a_batch_that_processes_cannot_share_is_refused(
    small: Preset, heads: LabelledHeads
) -> None:
    for size in (3, 8):
        with pytest.raises(UserError, match=f"a batch of 8 came for {size} processes"):
            Training(small, HEAD, heads, world=World(size=size))


def test_a_loss_that_is_not_finite_stops_and_names_the_items(
    small: Preset, heads: LabelledHeads
) -> None:
    broken = replace(heads, euler=heads.euler.copy())
    broken.euler[11] = np.nan
    with pytest.raises(UserError) as caught:
        run(shortened(small, batch=16), broken)
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
    found = validate(network, heads, size, workers=0)
    expected = constant_answers(heads, face, FRONTAL, size)
    assert found["nme"] == pytest.approx(expected["average_face_nme"], rel=1e-5)
    assert found["pose_error"] == pytest.approx(expected["mean_pose_error"], rel=1e-5)
