"""Two runs held against each other: planted changes are seen, scatter alone is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.throughput.compare import (
    READABLE,
    Comparison,
    SavedRow,
    SavedRun,
    compare_runs,
    read_run,
)
from engines.errors import UserError
from trans3dhead.cli.main import main

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
SETTINGS = {"precision": "float32", "threads": "2", "in_flight": "1"}


def run_of(
    milliseconds: float | dict[str, float],
    *,
    seed: int,
    rounds: int = 20,
    scatter: float = 0.05,
    drift: float = 0.0,
) -> SavedRun:
    """A row for each name, with scatter of its own in each round and, with drift, one that all
    rows of a round share."""
    rng = np.random.default_rng(seed)
    rows = milliseconds if isinstance(milliseconds, dict) else {"engine": milliseconds}
    shared = np.exp(drift * rng.standard_normal(rounds))
    return SavedRun(
        path=f"{seed}.json",
        hardware={"cpu": "one"},
        versions={},
        disturbed=None,
        rows=tuple(
            SavedRow(
                name=name,
                batch=1,
                settings=SETTINGS,
                rounds=tuple(
                    (taken * shared * (1 + scatter * rng.standard_normal(rounds))).tolist()
                ),
            )
            for name, taken in rows.items()
        ),
    )


@pytest.mark.parametrize(
    ("factor", "change"), [(1.0, "same"), (1.25, "slower"), (0.8, "faster"), (1.05, "open")]
)
def test_a_planted_change_is_seen_and_scatter_is_none(factor: float, change: str) -> None:
    found = compare_runs(run_of(10, seed=1), run_of(10 * factor, seed=2))
    (row,) = found.rows
    assert row.change == change
    assert row.interval is not None
    assert row.interval.low < row.speedup < row.interval.high
    assert row.speedup == pytest.approx(1 / factor, rel=0.05)
    assert bool(found.regressed) == (change == "slower")


def test_the_threshold_decides() -> None:
    before, after = run_of(10, seed=1), run_of(12.5, seed=2)
    assert compare_runs(before, after, 0.1).regressed
    assert not compare_runs(before, after, 0.4).regressed


def test_few_rounds_decide_nothing() -> None:
    found = compare_runs(run_of(10, seed=1, rounds=4), run_of(20, seed=2, rounds=4))
    assert (found.rows[0].change, found.rows[0].interval) == ("open", None)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="expected a share"):
        compare_runs(run_of(10, seed=1), run_of(10, seed=2), threshold)


def test_only_a_row_that_may_be_slower_is_open() -> None:
    """A scatter that reaches from the same to faster holds the gate open for nobody."""
    found = compare_runs(run_of(10, seed=1), run_of(9.55, seed=2), 0.04)
    assert (found.rows[0].change, found.faults) == ("not slower", ())


def drifted(engine: float, first: float = 130.0) -> SavedRun:
    """As every run on a machine that became slower by 30 %, and swings from round to round."""
    return run_of({"first": first, "engine": engine}, seed=2, scatter=0.02, drift=0.2)


@pytest.mark.parametrize(("engine", "change"), [(13, "same"), (16.25, "slower"), (10.4, "faster")])
def test_times_the_first_do_not_drift_with_the_machine(engine: float, change: str) -> None:
    before = run_of({"first": 100, "engine": 10}, seed=1, scatter=0.02, drift=0.2)
    alone = {row.name: row.change for row in compare_runs(before, drifted(engine)).rows}
    assert alone["first"] in ("slower", "open")
    (row,) = compare_runs(before, drifted(engine), times_the_first=True).rows
    assert (row.name, row.change) == ("engine", change)
    assert row.before == pytest.approx(10, rel=0.05)
    assert row.after == pytest.approx(130 / engine, rel=0.05)
    assert row.speedup == pytest.approx(13 / engine, rel=0.05)
    assert row.interval is not None
    assert row.interval.low < row.speedup < row.interval.high


def test_the_interval_of_times_the_first_covers_as_said() -> None:
    """Over 200 pairs of runs that differ by nothing but drift."""
    held = 0
    for seed in range(200):
        before, after = (
            run_of({"first": 100, "engine": 10}, seed=1000 * k + seed, rounds=12, drift=0.3)
            for k in (1, 2)
        )
        (row,) = compare_runs(before, after, times_the_first=True).rows
        assert row.interval is not None
        held += row.interval.low <= 1 <= row.interval.high
    assert 182 <= held <= 198


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ({"engine": 10}, "lacks first at 1, the first row"),
        ({"first": 100, "other": 10}, "no row in common but the first"),
    ],
)
def test_times_the_first_need_the_first_and_another(after: dict[str, float], message: str) -> None:
    before = run_of({"first": 100, "engine": 10}, seed=1)
    with pytest.raises(UserError, match=message):
        compare_runs(before, run_of(after, seed=2), times_the_first=True)


def row_of(milliseconds: float, **changes: Any) -> dict[str, Any]:
    """As it stands in a file."""
    row = {"name": "engine", "batch": 1, "precision": "float32", "threads": 2, "in_flight": 1}
    return row | {"rounds": [milliseconds] * 8} | changes


def written(path: Path, *rows: dict[str, Any], **changes: Any) -> Path:
    machine = {"gpu": None, "cpu": "a processor", "driver": None, "cuda": None}
    state = {
        "machine": machine,
        "cores": 2,
        "instructions": ["avx2"],
        "governor": None,
        "gpu": None,
    }
    found = {"schema": READABLE[-1], "rows": rows, "disturbed": None}
    path.write_text(json.dumps(found | {"before": state | {"versions": {"torch": "2"}}} | changes))
    return path


@pytest.fixture
def compare(tmp_path, capsys) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """The command on two files: exit code, JSON, and what it printed."""

    def run(before: Path, after: Path, *words: str) -> tuple[int, dict[str, Any], str]:
        out = tmp_path / "out.json"
        code = main(["bench", "compare", str(before), str(after), "--json", str(out), *words])
        return code, json.loads(out.read_text()), capsys.readouterr().out

    return run


def test_the_command_exits_with_1_for_a_regression_and_names_the_row(compare, tmp_path) -> None:
    before = written(tmp_path / "a.json", row_of(10), row_of(10, batch=4))
    same = written(tmp_path / "b.json", row_of(10), row_of(10, batch=4))
    slower = written(tmp_path / "c.json", row_of(10), row_of(20, batch=4))
    code, found, _ = compare(before, same)
    assert (code, found["faults"], found["regressed"]) == (0, [], [])
    code, found, text = compare(before, slower)
    assert (code, found["regressed"]) == (1, ["engine at 4"])
    assert "0.500" in text
    assert "not held: engine at 4: slower" in text


def test_a_row_of_other_settings_is_not_compared(compare, tmp_path) -> None:
    """Twice as fast, in half the bits."""
    before = written(tmp_path / "a.json", row_of(10), row_of(10, batch=4))
    other = row_of(5, precision="bfloat16", threads=1)
    after = written(tmp_path / "b.json", other, row_of(10, batch=4))
    code, found, text = compare(before, after)
    assert (code, found["faults"]) == (1, ["engine at 1: differs"])
    assert [row["change"] for row in found["rows"]] == ["differs", "same"]
    assert found["rows"][0]["speedup"] is None
    assert "differs: precision float32 -> bfloat16, threads 2 -> 1" in text


def test_a_row_that_is_missing_or_open_passes_no_gate(compare, tmp_path) -> None:
    before = written(tmp_path / "a.json", row_of(10), row_of(10, batch=4))
    after = written(tmp_path / "b.json", row_of(10), row_of(10, name="new"))
    code, found, text = compare(before, after)
    assert (code, found["faults"]) == (1, ["engine at 4: missing"])
    assert "only after: new at 1" in text
    assert compare(after, written(tmp_path / "c.json", row_of(10), row_of(1, name="new")))[0] == 0
    scattered = row_of(10, rounds=[8.0, 12.0] * 4)
    code, found, _ = compare(before, written(tmp_path / "d.json", scattered, row_of(10, batch=4)))
    assert (code, found["faults"]) == (1, ["engine at 1: open"])


def test_what_changed_besides_the_code_is_told(compare, tmp_path) -> None:
    before = written(tmp_path / "a.json", row_of(10))
    state = json.loads(before.read_text())["before"]
    state |= {"cores": 4, "instructions": ["avx2", "amx_bf16"], "versions": {"torch": "3"}}
    after = written(tmp_path / "b.json", row_of(10), before=state, disturbed="a neighbour")
    code, found, text = compare(before, after)
    assert code == 0
    assert found["hardware"] == ["cores 2 -> 4", "instructions avx2 -> avx2 amx_bf16"]
    assert "two machines (cores 2 -> 4" in text
    assert "other versions: torch 2 -> 3" in text
    assert "disturbed after: a neighbour" in text
    _, found, text = compare(after, after)
    assert (found["hardware"], found["versions"]) == ([], [])
    assert "two machines" not in text
    assert "other versions" not in text
    assert "disturbed before: a neighbour" in text


def test_another_gpu_or_driver_is_seen(tmp_path) -> None:
    before = written(tmp_path / "a.json", row_of(10))
    state = json.loads(before.read_text())["before"]
    state["machine"] |= {"gpu": "H100", "driver": "580"}
    state["gpu"] = {"clocks.sm": "1980 MHz"}
    found = compare_runs(
        read_run(before), read_run(written(tmp_path / "b.json", row_of(10), before=state))
    )
    assert (found.hardware, found.versions) == (("gpu none -> H100",), ("driver none -> 580",))


def test_times_the_first_from_the_command(compare, tmp_path) -> None:
    before = written(tmp_path / "a.json", row_of(100, name="first"), row_of(10))
    slower = written(tmp_path / "b.json", row_of(200, name="first"), row_of(20))
    assert compare(before, slower)[0] == 1
    code, found, text = compare(before, slower, "--times-the-first")
    assert (code, len(found["rows"]), found["times_the_first"]) == (0, 1, True)
    assert "times the first before" in text


def test_a_first_row_of_other_settings_is_refused(tmp_path) -> None:
    rows = row_of(100, name="first"), row_of(10)
    other = rows[0] | {"precision": "tf32"}
    runs = [
        read_run(written(tmp_path / f"{number}.json", first, rows[1]))
        for number, first in enumerate((rows[0], other))
    ]
    with pytest.raises(UserError, match=r"changes \(precision float32 -> tf32\) first at 1"):
        compare_runs(*runs, times_the_first=True)


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": 1, "rows": []}',
        "[]",
        *(f'{{"schema": {schema}, "rows": [{{}}]}}' for schema in READABLE),
        f'{{"schema": {READABLE[-1]}, "rows": 7}}',
        f'{{"schema": {READABLE[-1]}, "rows": []}}',
    ],
)
def test_a_file_of_something_else_is_refused(text: str, tmp_path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match="measure anew"):
        read_run(path)


@pytest.mark.parametrize(
    ("rounds", "came"),
    [
        ([], "nothing"),
        (["10"], "'10'"),
        ([10.0, None], "None"),
        ([10.0, True], "True"),
        ([float("nan")], "nan"),
        ([0], "0"),
    ],
)
def test_rounds_that_are_no_times_are_refused(rounds: list[Any], came: str, tmp_path) -> None:
    path = written(tmp_path / "a.json", row_of(10, rounds=rounds))
    with pytest.raises(UserError, match=f"has {came} among the rounds of engine at 1; expected"):
        read_run(path)


def test_a_row_that_is_there_twice_is_refused(tmp_path) -> None:
    path = written(tmp_path / "a.json", row_of(10), row_of(10, batch=4), row_of(20))
    with pytest.raises(UserError, match="has engine at 1 more than once"):
        read_run(path)


def test_rows_of_different_rounds_are_refused(tmp_path) -> None:
    path = written(tmp_path / "a.json", row_of(10), row_of(10, batch=4, rounds=[10.0] * 6))
    with pytest.raises(UserError, match="rows of 6 and 8 rounds"):
        read_run(path)


def test_runs_without_a_common_row_are_refused_and_both_are_listed(tmp_path) -> None:
    runs = [written(tmp_path / f"{name}.json", row_of(10, name=name)) for name in ("left", "right")]
    with pytest.raises(UserError, match=r"left at 1; right at 1"):
        compare_runs(*map(read_run, runs))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*-bench.json")), ids=lambda path: path.name)
def test_committed_runs_can_be_compared(path: Path) -> None:
    """Those of an earlier schema too."""
    run = read_run(path)
    found: Comparison = compare_runs(run, run)
    assert found.only_before == found.hardware == found.versions == ()
    assert {row.speedup for row in found.rows} == {1.0}
