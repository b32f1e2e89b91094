"""The schema that ships says what `verify --json` writes, and nothing else."""

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest

from benchmarks.parity.harness import verify
from benchmarks.parity.results import REPORT_SCHEMA, SCHEMA

Found = dict[str, Any]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(REPORT_SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def found(workshops) -> Found:
    workshop = workshops("mesh")
    return written(verify(workshop.plant(workshop.answers)))


def written(report) -> Found:
    """As it stands in the file."""
    return json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_a_report_keeps_it(validator, found) -> None:
    validator.validate(found)
    assert found["schema"] == SCHEMA


def test_so_do_reports_that_lack_something(validator, workshops, make_workshop, tmp_path) -> None:
    workshop = workshops("mesh")
    answers = workshop.answers
    answers["params"][2, 5] = np.inf
    answers["vertices"][:] = np.nan
    few = verify(workshop.plant(workshop.answers), limit=2)
    untold = make_workshop(tmp_path / "bundle", "params", images=6, truth=False)
    for report in (
        verify(workshop.plant(answers)),
        few,
        verify(untold.plant(untold.answers, name="untold")),
    ):
        validator.validate(written(report))


def extra_field(report: Found) -> None:
    report["mood"] = "good"


def lost_field(report: Found) -> None:
    del report["gates"][3]["margin"]


def unknown_verdict(report: Found) -> None:
    report["verdict"] = "not bad"


def other_schema(report: Found) -> None:
    report["schema"] = 2


def cut_hash(report: Found) -> None:
    report["subject"]["reference_sha256"] = report["subject"]["reference_sha256"][:12]


def number_as_text(report: Found) -> None:
    report["tensors"][0]["largest_absolute"] = "0.1"


def silent_gap(report: Found) -> None:
    report["gates"][-1] |= {"verdict": "not measured", "value": None, "reason": ""}


def lost_metric(report: Found) -> None:
    del report["metrics"][0]


@pytest.mark.parametrize(
    "damage",
    [
        extra_field,
        lost_field,
        unknown_verdict,
        other_schema,
        cut_hash,
        number_as_text,
        silent_gap,
        lost_metric,
    ],
    ids=lambda damage: damage.__name__,
)
def test_what_is_broken_does_not(validator, found, damage: Callable[[Found], None]) -> None:
    broken = copy.deepcopy(found)
    damage(broken)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)
