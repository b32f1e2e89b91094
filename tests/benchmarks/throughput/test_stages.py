"""The stages of a whole prediction: each has its own time, and together they are the whole."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.throughput import pipeline as pipelines
from benchmarks.throughput.bench import bench
from benchmarks.throughput.measure import Row
from benchmarks.throughput.pipeline import STAGES, Pipeline, find_photo, render_photo
from benchmarks.throughput.stages import Staged, measure_stages
from engines.errors import UserError
from engines.manifest import BatchProfile
from engines.steps import Mark
from trans3dhead.cli.main import main
from trans3dhead.data.images import read_rgb

MS = 1_000_000
PLANTED = dict(zip(STAGES, (8, 2, 1, 60, 0.5, 4), strict=True))
"""Milliseconds."""


class World:
    """A clock, and pipelines that take as long as they are told."""

    def __init__(self) -> None:
        self.now = 0

    def measure(self, *calls: Callable[[Mark | None], None], seconds: float = 2) -> list[Staged]:
        rows = [
            Row(name=str(k), batch=1, call=lambda: None, precision="", copies="", threads=1,
                pipeline=Planted(call))
            for k, call in enumerate(calls)
        ]  # fmt: skip
        return list(measure_stages(rows, seconds=seconds, clock=lambda: self.now))

    def pipeline(
        self, *, factor: Callable[[], float] = lambda: 1.0, after: float = 0, unmarked: float = 0
    ) -> Callable[[Mark | None], None]:
        """Stages of the planted times.

        Args:
            factor: of all times.
            after: milliseconds that belong to no stage.
            unmarked: milliseconds that only a call without marks takes.
        """

        def call(mark: Mark | None) -> None:
            for stage, milliseconds in PLANTED.items():
                self.now += round(milliseconds * factor() * MS)
                if mark is not None:
                    mark(stage)
            self.now += round((after + (unmarked if mark is None else 0)) * MS)

        return call


class Planted:
    """In the place of a `Pipeline`."""

    def __init__(self, call: Callable[[Mark | None], None]) -> None:
        self._call = call

    def __call__(self, mark: Mark | None = None) -> None:
        self._call(mark)

    def gpu_milliseconds(self) -> float | None:
        return 55.0


def test_every_stage_has_its_time_and_they_add_up() -> None:
    world = World()
    (found,) = world.measure(world.pipeline())
    assert {stage: times.mean for stage, times in found.stages.items()} == pytest.approx(PLANTED)
    assert found.total == pytest.approx(sum(PLANTED.values()))
    assert found.end_to_end.median == pytest.approx(found.total)
    assert found.host_latency == pytest.approx(61.5)
    assert found.device is not None and found.device.mean == pytest.approx(55)
    assert (found.gap, found.adds_up) == (pytest.approx(0), "pass")


@pytest.mark.parametrize(
    ("lost", "verdict"), [({"after": 3}, "pass"), ({"after": 8}, "fail"), ({"unmarked": 8}, "fail")]
)
def test_what_no_stage_holds_shows_as_a_gap(lost, verdict) -> None:
    """Of 75.5 ms 3 are 4 %, and 8 are 10 %."""
    world = World()
    (found,) = world.measure(world.pipeline(**lost))
    assert found.gap == pytest.approx(75.5 / (75.5 + sum(lost.values())) - 1)
    assert found.interval.low <= found.gap <= found.interval.high
    assert found.adds_up == verdict


def test_drift_leaves_no_gap() -> None:
    """The machine slows down threefold during the run."""
    world = World()
    rows = [world.pipeline(factor=lambda: 1 + world.now / (20_000 * MS)) for _ in range(2)]
    for found in world.measure(*rows, seconds=8):
        assert found.end_to_end.largest > 2 * found.total / 1.5
        assert abs(found.gap) < 0.03
        assert found.adds_up == "pass"


def test_a_machine_that_stalls_leaves_it_open() -> None:
    world, rng = World(), np.random.default_rng(1)
    stalling = world.pipeline(factor=lambda: 20.0 if rng.random() < 0.05 else 1.0)
    assert world.measure(stalling)[0].adds_up == "inconclusive"


@pytest.fixture(scope="module")
def engine(tmp_path_factory, make_workshop) -> Path:
    workshop = make_workshop(tmp_path_factory.mktemp("stages") / "bundle", "mesh", images=6)
    return workshop.plant(workshop.answers, profile=BatchProfile(min=1, opt=2, max=4))


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> pipelines.Photo:
    return render_photo(tmp_path_factory.mktemp("photo"))


SLEEPS = {"decode": ("read_rgb", 0.02), "crop": ("cut_head", 0.01), "post-processing": (
    "assemble_heads", 0.015)}  # fmt: skip


def test_a_sleep_planted_in_a_real_pipeline_is_found_where_it_is(
    engine, photo, monkeypatch
) -> None:
    """Sleeps only ever take longer, so lower bounds hold on every machine."""
    for name, seconds in SLEEPS.values():
        real = getattr(pipelines, name)

        def slow(*words, real=real, seconds=seconds, **more):
            time.sleep(seconds)
            return real(*words, **more)

        monkeypatch.setattr(pipelines, name, slow)
    report = bench([engine], batches=[1, 2], seconds=0.2, threads=1, photo=photo)
    assert report.photo is not None and report.photo.startswith("jpg of ")
    for row in report.staged:
        for stage, (name, seconds) in SLEEPS.items():
            calls = 1 if name == "assemble_heads" else row.batch
            assert row.stages[stage].median > 1000 * seconds * calls, stage
        assert row.stages["copy in"].median < 8  # nothing of the others
        assert row.total == pytest.approx(row.end_to_end.mean, rel=0.5)
        assert row.adds_up != "fail"


def test_the_pipeline_gives_what_predicting_gives(engine, photo) -> None:
    from trans3dhead.prediction import Predictor

    with Predictor.open(engine, threads=1) as predictor:
        expected = predictor(read_rgb(photo.path), photo.bbox)
        pipeline = Pipeline(
            photo=photo,
            batch=3,
            size=predictor.engine.contract.image.size,
            answer=lambda crops, mark: predictor.engine.infer({"image": crops}, mark=mark),
            head=predictor.head,
        )
        told: list[str] = []
        heads = pipeline(told.append)
    assert tuple(told) == STAGES
    assert len(heads) == 3
    for head in heads:
        for name in ("landmarks", "params", "rotation", "vertices", "projected"):
            np.testing.assert_array_equal(getattr(head, name), getattr(expected, name))


def test_the_command_times_the_stages_of_engines_and_checkpoint(
    engine, checkpoint, tmp_path, capsys
) -> None:
    files = {form: tmp_path / f"bench.{form}" for form in ("json", "html", "markdown")}
    options = [word for form, path in files.items() for word in (f"--{form}", str(path))]
    words = ["bench", "run", str(engine), "--checkpoint", str(checkpoint), "--batch", "1"]
    code = main([*words, "--seconds", "0.1", "--threads", "1", "--stages", *options])
    assert "end to end" in capsys.readouterr().out
    found = json.loads(files["json"].read_text())
    # on a busy machine the real times of a tenth of a second may contradict one another
    assert code == int(any(row["adds_up"] == "fail" for row in found["staged"]))
    assert [row["name"] for row in found["staged"]] == ["torch eager", "planted"]
    assert found["staged"][0]["stages"]["inference"]["mean"] > 0
    assert all("end to end" in files[form].read_text() for form in ("html", "markdown"))


def test_stages_that_do_not_add_up_are_an_error(engine, monkeypatch) -> None:
    """Something takes 30 ms that no stage holds."""
    real = Pipeline.__call__

    def slower(self: Pipeline, mark: Mark | None = None):
        if mark is None:
            time.sleep(0.03)
        return real(self, mark)

    monkeypatch.setattr(Pipeline, "__call__", slower)
    words = ["bench", "run", str(engine), "--batch", "1", "--seconds", "0.1", "--threads", "1"]
    assert main([*words, "--stages"]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--photo", "{photo}"], "came without --stages"),
        (["--stages", "--bbox", "1", "2", "3", "4"], "--bbox came without --photo"),
        (["--stages", "--photo", "{none}"], "cannot read image"),
        (["--stages", "--photo", "{photo}", "--bbox", "9000", "0", "9", "9"], "holds no pixel"),
    ],
)
def test_what_cannot_be_staged_is_refused(engine, photo, options, said, capsys) -> None:
    names = {"{photo}": str(photo.path), "{none}": "none.jpg"}
    words = [names.get(word, word) for word in options]
    assert main(["bench", "run", str(engine), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_photo_without_a_head_asks_for_its_box(monkeypatch, photo) -> None:
    monkeypatch.setattr(pipelines, "HaarDetector", lambda: lambda image: [])
    with pytest.raises(UserError, match=r"no head found in .*--bbox X Y W H"):
        find_photo(photo.path, None)
    monkeypatch.setattr(pipelines, "HaarDetector", lambda: lambda image: [(1, 2, 30, 40)])
    assert find_photo(photo.path, None).bbox == (1, 2, 30, 40)
    assert find_photo(photo.path, (5, 6, 70, 80)).bbox == (5, 6, 70, 80)
