"""Budgets and learning rates."""

import pytest

from engines.errors import UserError
from trans3dhead.network.model import build_network
from trans3dhead.presets import tiny
from trans3dhead.training import schedule
from trans3dhead.training.config import TrainingConfig
from trans3dhead.training.optimiser import build_optimiser, set_rates
from trans3dhead.training.schedule import Budget, rate_factor


def test_the_paper_falls_to_a_tenth_at_epoch_240_of_360() -> None:
    config = TrainingConfig(warmup_steps=0)
    budget = Budget.of(config, items=37840)
    assert budget.steps == 360 * 37840 / 32
    before, after = budget.steps * 239.9 / 360, budget.steps * 240.1 / 360
    assert rate_factor(config, int(before), budget.share(int(before))) == 1
    assert rate_factor(config, int(after), budget.share(int(after))) == pytest.approx(0.1)


def test_rates_rise_over_the_warm_up() -> None:
    config = TrainingConfig(warmup_steps=9)
    factors = [rate_factor(config, step, 0) for step in range(12)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:] == [1, 1, 1]
    assert factors == sorted(factors)


def test_the_cosine_ends_near_zero() -> None:
    config = TrainingConfig(schedule="cosine", warmup_steps=0)
    assert rate_factor(config, 0, 0) == 1
    assert rate_factor(config, 50, 0.5) == pytest.approx(0.5)
    assert rate_factor(config, 99, 0.99) < 0.001


def test_samples_are_done_in_whole_batches() -> None:
    assert Budget.of(TrainingConfig(samples=100, batch=16), items=5).steps == 7


def test_minutes_follow_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    budget = Budget.of(TrainingConfig(minutes=2), items=5)
    assert budget.steps is None
    now[0] += 30
    assert budget.share(step=12345) == pytest.approx(0.25)
    now[0] += 95
    assert budget.share(step=1) > 1


def test_samples_and_minutes_exclude_each_other() -> None:
    with pytest.raises(UserError, match="minutes is 1"):
        TrainingConfig(samples=10, minutes=1)


def test_the_backbone_has_a_rate_of_its_own_and_every_weight_has_one() -> None:
    config = TrainingConfig(learning_rate=2e-4, backbone_factor=0.1)
    network = build_network(tiny().network)
    optimiser = build_optimiser(network, config)
    set_rates(optimiser, 0.5)
    rates = {
        id(parameter): group["lr"]
        for group in optimiser.param_groups
        for parameter in group["params"]
    }
    for name, parameter in network.named_parameters():
        expected = 1e-5 if name.startswith("backbone.") else 1e-4
        assert rates[id(parameter)] == pytest.approx(expected), name
    assert len(rates) == len(list(network.parameters()))
