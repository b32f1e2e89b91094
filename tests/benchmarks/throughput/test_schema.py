"""The schema that ships says what `bench run --json` writes, and nothing else."""

import copy
import json
from collections.abc import Callable
from functools import partial
from time import sleep
from typing import Any

import jsonschema
import pytest

from benchmarks.throughput.bench import bench
from benchmarks.throughput.csv_file import FIELDS, bench_csv
from benchmarks.throughput.pipeline import render_photo
from benchmarks.throughput.results import REPORT_SCHEMA, SCHEMA, BenchReport
from benchmarks.throughput.roofline import Contender
from engines.manifest import BatchProfile

Found = dict[str, Any]


@pytest.fixture(scope="module")
def report(make_workshop, tmp_path_factory) -> BenchReport:
    """Of a real engine, with all that a run can hold."""
    workshop = make_workshop(tmp_path_factory.mktemp("schema") / "bundle", "params", images=6)
    engine = workshop.plant(workshop.answers, profile=BatchProfile(min=1, opt=2, max=4))
    with pytest.MonkeyPatch.context() as patch:
        planted = [
            Contender(
                kind=kind, by="planted", device="cpu", operations=1e15, call=partial(sleep, 1e-3)
            )
            for kind in ("float32", "copy")
        ]
        patch.setattr("benchmarks.throughput.bench.find_ceilings", lambda rows, threads: planted)
        photo = render_photo(tmp_path_factory.mktemp("photo"))
        return bench([engine], in_flight=[1, 2], batches=[1], seconds=0.1, sustained=0.1,
                     roofline=True, threads=1, photo=photo)  # fmt: skip


@pytest.fixture(scope="module")
def validator(validator_of) -> jsonschema.Draft202012Validator:
    found: jsonschema.Draft202012Validator = validator_of(REPORT_SCHEMA)
    return found


def written(report: BenchReport) -> Found:
    """As it stands in the file."""
    found: Found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    return found


def test_a_report_keeps_it(validator, report) -> None:
    found = written(report)
    validator.validate(found)
    assert found["schema"] == SCHEMA
    assert (
        found["ceilings"]
        and found["sustained"]
        and found["staged"]
        and found["rows"][1]["interval"]
        and found["rows"][0]["limit"]["interval"]
    )


def extra_field(found: Found) -> None:
    found["rows"][0]["fps"] = 1


def lost_field(found: Found) -> None:
    del found["watched"]


def other_schema(found: Found) -> None:
    found["schema"] = SCHEMA - 1


def no_rows(found: Found) -> None:
    found["rows"] = []


def lost_stage(found: Found) -> None:
    del found["staged"][0]["stages"]["crop"]


def speed_as_text(found: Found) -> None:
    found["rows"][0]["images_per_second"] = "115"


def a_call_of_no_time(found: Found) -> None:
    found["durations"][0][0] = 0


@pytest.mark.parametrize(
    "damage",
    [extra_field, lost_field, other_schema, no_rows, lost_stage, speed_as_text, a_call_of_no_time],
    ids=lambda damage: damage.__name__,
)
def test_what_is_broken_does_not(validator, report, damage: Callable[[Found], None]) -> None:
    broken = copy.deepcopy(written(report))
    damage(broken)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)


def test_the_csv_has_a_line_for_each_row(report) -> None:
    names, *lines = (line.split(",") for line in bench_csv(report).replace('"', "").splitlines())
    assert tuple(names) == FIELDS
    assert len(lines) == len(report.rows)
    assert float(lines[0][names.index("images_per_second")]) == report.rows[0].images_per_second
    assert lines[0][names.index("times_baseline")] == ""  # it is the baseline
