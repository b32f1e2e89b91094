import numpy as np
import pytest
from scipy.stats import norm

from benchmarks.parity.statistics import (
    MIN_IMAGES,
    Bootstrap,
    Interval,
    blind_share,
    images_needed,
    judge,
    percentile,
)


def test_the_interval_of_a_mean_is_the_normal_one_for_many_images() -> None:
    values = np.random.default_rng(1).normal(3, 2, 2000)
    found = Bootstrap(2000).of_mean(values)
    half = norm.ppf(0.975) * values.std() / np.sqrt(2000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05 * half)


@pytest.mark.parametrize("images", [8, 24, 100])
def test_intervals_cover_the_truth_as_often_as_they_say(images: int) -> None:
    rng = np.random.default_rng(images)
    bootstrap = Bootstrap(images, resamples=1000)
    intervals = [bootstrap.of_mean(rng.normal(size=images)) for _ in range(1000)]
    covered = np.mean([found.low <= 0 <= found.high for found in intervals])
    assert 0.925 < covered < 0.975


def test_a_constant_difference_has_an_interval_of_no_width() -> None:
    assert Bootstrap(10).of_mean(np.full(10, 0.5)) == Interval(0.5, 0.5)


def test_the_seed_makes_the_interval() -> None:
    values = np.random.default_rng(2).normal(size=30)
    assert Bootstrap(30).of_mean(values) == Bootstrap(30).of_mean(values)
    assert Bootstrap(30).of_mean(values) != Bootstrap(30, seed=1).of_mean(values)


def test_resamples_drawn_in_chunks_are_means_of_the_values(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.parity.statistics._CHUNK", 100)
    bootstrap = Bootstrap(12, resamples=50)
    means = bootstrap.means(np.arange(12.0))
    assert means.shape == (50,)
    assert np.allclose(bootstrap.means(np.ones(12)), 1)
    assert means.min() >= 0 and means.max() <= 11


def test_the_interval_of_a_percentile_is_that_of_resampling_by_hand() -> None:
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(20, 15)) * rng.uniform(0.5, 2, (20, 1))
    bootstrap = Bootstrap(20, resamples=500)
    by_hand = []
    for row in np.concatenate(bootstrap._counts):
        drawn = np.repeat(values, row.astype(int), axis=0)
        by_hand.append(percentile(drawn, 0.9))
    low, high = np.quantile(by_hand, [bootstrap.tail, 1 - bootstrap.tail], method="inverted_cdf")
    found = bootstrap.of_percentile(values, 0.9)
    assert (found.low, found.high) == (low, high)


def test_a_percentile_is_a_value_that_few_exceed() -> None:
    values = np.arange(1, 101, dtype=float).reshape(10, 10)
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile(np.array([[5.0]]), 0.99) == 5


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        (Interval(-0.9, 0.9), "pass"),
        (Interval(-1, 1), "pass"),
        (Interval(0.5, 1.5), "inconclusive"),
        (Interval(-2, 2), "inconclusive"),
        (Interval(-2, -0.5), "inconclusive"),
        (Interval(1.1, 1.5), "fail"),
        (Interval(-9, -1.1), "fail"),
        (None, "inconclusive"),
    ],
)
def test_verdicts_follow_the_published_definition(interval, verdict) -> None:
    assert judge(interval, 1.0) == verdict


def test_wrong_verdicts_are_rare() -> None:
    """At the margin itself about 2.5 % each way; well within it nothing fails."""
    rng = np.random.default_rng(4)
    bootstrap = Bootstrap(50, resamples=1000)

    def verdicts(mean: float) -> list[str]:
        return [judge(bootstrap.of_mean(rng.normal(mean, 1, 50)), 1.0) for _ in range(600)]

    at_margin = verdicts(1.0)
    assert at_margin.count("pass") <= 0.045 * 600
    assert at_margin.count("fail") <= 0.045 * 600
    assert set(verdicts(0.0)) == {"pass"}
    assert set(verdicts(3.0)) == {"fail"}


def test_the_number_of_images_that_settles_it_does() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0.5, 4, 40)
    values += 0.5 - values.mean()
    interval = Bootstrap(40).of_mean(values)
    assert judge(interval, 1.0) == "inconclusive"
    needed = images_needed(0.5, interval, 1.0, 40)
    assert needed is not None and 100 < needed < 1000
    many = rng.normal(0.5, 4, 2 * needed)
    many += 0.5 - many.mean()
    assert judge(Bootstrap(2 * needed).of_mean(many), 1.0) == "pass"


def test_no_number_of_images_settles_a_value_on_the_margin() -> None:
    assert images_needed(1.0, Interval(0.5, 1.5), 1.0, 40) is None
    assert images_needed(1.0 - 1e-9, Interval(0.5, 1.5), 1.0, 40) is None
    assert images_needed(0.1, None, 1.0, 3) == MIN_IMAGES


def test_few_images_are_blind_to_rare_faults() -> None:
    assert blind_share(1) == pytest.approx(0.95)
    assert blind_share(300) == pytest.approx(0.00994, abs=1e-4)
