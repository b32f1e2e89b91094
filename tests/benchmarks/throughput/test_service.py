"""A service in a world whose clock only the engine moves: every latency is known."""

import json
import time
from contextlib import nullcontext
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from benchmarks.throughput import serve as serving
from benchmarks.throughput.serve import serve
from benchmarks.throughput.service import (
    MIN_REQUESTS,
    SERVICE_SCHEMA,
    Clock,
    LoadPoint,
    ServiceReport,
    draw_arrivals,
    simulate,
)
from benchmarks.throughput.watch import Watcher
from engines.errors import UserError
from engines.manifest import BatchProfile
from engines.runtime import open_engine
from trans3dhead.cli.main import main


class World:
    """A clock that sleeping and computing move; an engine of so many seconds a batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 100.0
        self.batches: list[int] = []
        self.clock = Clock(now=lambda: self.now, sleep=self._pass)

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def call(self, count: int) -> None:
        self.batches.append(count)
        self.now += self.seconds

    def simulate(
        self, arrivals: list[float], *, window: float = 0.0, largest: int = 1
    ) -> LoadPoint:
        return simulate(
            self.call, np.array(arrivals), window=window, largest=largest, clock=self.clock
        )


def test_a_request_alone_waits_for_the_window_and_the_engine() -> None:
    world = World(0.010)
    point = world.simulate([0.0, 1.0, 2.0], window=0.005, largest=4)
    assert world.batches == [1, 1, 1]
    assert point.p50 == pytest.approx(15)
    assert point.busy == pytest.approx(0.03 / 2.015)


def test_a_full_batch_leaves_before_the_window_ends() -> None:
    world = World(0.010)
    point = world.simulate([0.0, 0.001, 5.0, 5.001], window=1.0, largest=2)
    assert world.batches == [2, 2]
    assert (point.largest, point.p50) == pytest.approx((11, 10))


def test_a_queue_counts_from_arrival() -> None:
    """Ten requests at once, one at a time: the last has waited for all."""
    world = World(0.010)
    point = world.simulate([0.0] * 10)
    assert point.largest == pytest.approx(100)
    assert point.p50 == pytest.approx(50)


def test_what_waited_goes_together() -> None:
    world = World(1.0)
    world.simulate([0.0, 0.1, 0.2, 0.3, 0.4], largest=3)
    assert world.batches == [1, 3, 1]


def test_arrivals_are_a_poisson_process_and_the_same_each_time() -> None:
    arrivals = draw_arrivals(50.0, 400.0)
    gaps = np.diff(arrivals)
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)  # an exponential's deviation is its mean
    np.testing.assert_array_equal(arrivals, draw_arrivals(50.0, 400.0))


def test_latency_follows_the_queue_of_theory() -> None:
    """M/D/1 at a load of 0.8: a request waits rho / (2 (1 - rho)) services in the mean."""
    world = World(0.010)
    point = world.simulate(draw_arrivals(80.0, 300.0).tolist())
    load = 0.010 * point.rate
    assert point.busy == pytest.approx(load, rel=0.03)
    # the median of M/D/1 has no closed form; its mean does, and lies above the median
    assert 10 < point.p50 < 10 * (1 + load / (2 * (1 - load))) < point.p90


@pytest.fixture(scope="module")
def report() -> ServiceReport:
    from benchmarks.throughput.machine import look

    world = World(0.010)
    points = tuple(
        world.simulate(draw_arrivals(rate, 60.0).tolist()) for rate in (30.0, 60.0, 120.0)
    )
    return ServiceReport(
        engine="engine", precision="float32", window_ms=0.0, largest_batch=1, limit_ms=100.0,
        capacity=100.0, points=points, machine=look(), watched=Watcher().watched(),
    )  # fmt: skip


def test_past_its_capacity_a_service_drowns_and_the_rate_before_is_kept(report) -> None:
    assert report.points[2].p99 > 1000
    assert (report.sustained, report.failed) == report.points[1:]
    assert report.machines_for(10 * report.points[1].rate) == 10
    assert report.machines_for(10.5 * report.points[1].rate) == 11


def test_a_limit_that_no_rate_keeps_is_said(report) -> None:
    strict = replace(report, limit_ms=1.0)
    assert (strict.sustained, strict.machines_for(100)) == (None, None)


def test_its_json_keeps_the_schema_that_ships(report, validator_of) -> None:
    validator = validator_of(SERVICE_SCHEMA)
    for limit in (1.0, 100.0):
        found = json.loads(json.dumps(replace(report, limit_ms=limit).to_dict(), allow_nan=False))
        validator.validate(found)
    found["points"][0]["p999"] = 1.0
    with pytest.raises(jsonschema.ValidationError, match="p999"):
        validator.validate(found)


def test_the_command_serves_a_real_engine(tmp_path, make_workshop, validator_of, capsys) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    engine = workshop.plant(workshop.answers, profile=BatchProfile(min=1, opt=2, max=4))
    found, html = tmp_path / "serve.json", tmp_path / "serve.html"
    words = ["--rates", "400", "2000", "--seconds", "0.1", "--target", "10000", "--threads", "1"]
    assert (
        main(["bench", "serve", str(engine), *words, "--json", str(found), "--html", str(html)])
        == 0
    )
    data = json.loads(found.read_text())
    validator_of(SERVICE_SCHEMA).validate(data)
    assert [point["requests"] for point in data["points"]] == [300, 300]
    assert data["largest_batch"] == 4
    assert "calculated, not measured" in capsys.readouterr().out
    assert "Latency against load" in html.read_text()


def test_a_size_that_was_never_called_decides_no_percentile(
    tmp_path, make_workshop, monkeypatch
) -> None:
    """The engine takes long for the first calls of each batch size, as runtimes do."""
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    profiles = (BatchProfile(min=1, opt=1, max=1), BatchProfile(min=2, opt=2, max=4))
    engine = workshop.plant(workshop.answers, profile=profiles[0])
    sizes: list[int] = []
    seen: set[int] = set()

    class Slow:
        manifest = replace(open_engine(engine).manifest, profiles=profiles)
        contract = open_engine(engine).contract

        def infer(self, images: dict[str, np.ndarray]) -> None:
            size = len(images["image"])
            time.sleep(0.0 if size in seen else 0.3)
            seen.add(size)
            sizes.append(size)

    monkeypatch.setattr(serving, "open_engine", lambda *_: nullcontext(Slow()))
    report = serve(engine, rates=[2000.0], seconds=0.1)
    assert report.largest_batch == 4
    assert sizes[:8] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert len(sizes) > 8
    assert report.points[0].largest < 300


def test_the_limit_is_looked_for_between_what_keeps_it_and_what_does_not(
    tmp_path, make_workshop, monkeypatch
) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    engine = workshop.plant(workshop.answers, profile=BatchProfile(min=1, opt=1, max=1))
    seeds: list[int] = []

    def simulated(call, arrivals, **_) -> LoadPoint:
        rate = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])
        world = World(0.001)
        point = world.simulate(arrivals.tolist())
        return replace(point, rate=rate, p99=1000.0 if rate > 623 else 1.0)

    def drawn(rate: float, seconds: float, seed: int) -> np.ndarray:
        seeds.append(seed)
        return np.arange(MIN_REQUESTS) / rate

    monkeypatch.setattr(serving, "simulate", simulated)
    monkeypatch.setattr(serving, "draw_arrivals", drawn)
    monkeypatch.setattr(serving, "measure_capacity", lambda *_: 1000.0)
    report = serve(engine, seconds=0.1)
    rates = [round(point.rate) for point in report.points]
    assert rates == [300, 500, 600, 612, 625, 650, 700, 800, 900, 1100]
    assert report.sustained is not None and report.failed is not None
    assert (round(report.sustained.rate), round(report.failed.rate)) == (612, 625)
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("target", ["nan", "inf", "0", "-5"])
def test_a_target_that_is_none_is_refused_before_anything_is_measured(target, capsys) -> None:
    assert main(["bench", "serve", "none", "--target", target]) == 2
    assert f"--target {target} came" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rates": [0.0]}, "rates 0 came"),
        ({"window": -1.0}, "window of -1"),
        ({"limit": 0.0}, "limit of 0"),
        ({"seconds": float("nan")}, "--seconds nan"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(change, said, tmp_path) -> None:
    with pytest.raises(UserError, match=said):
        serve(tmp_path, **change)
