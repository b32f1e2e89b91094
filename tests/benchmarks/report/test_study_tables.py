"""The study's tables, held to numbers worked out by hand."""

from typing import Any

from benchmarks.report.study_tables import difference_table, study_table


def _report() -> dict[str, Any]:
    values = {"baseline": (4.0, 6.0, 5.0), "paper": (3.0, 5.0, 4.0), "only-3dmm": (None,) * 3}
    runs = [
        {
            "variant": variant,
            "seed": seed,
            "metrics": {"pose_error": 0.25} | ({} if value is None else {"nme": value}),
            "baselines": {"average face": {"nme": 20.0}, "mean pose": {"pose_error": 0.75}},
        }
        for variant, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    plan = {"seeds": [0, 1, 2], "samples": 100, "unseen": 7, "heads": 9}
    return {"plan": plan, "runs": list(reversed(runs))}


def test_mean_and_sample_deviation_and_what_looks_at_no_image() -> None:
    rows = {row.cells[0]: row.cells for row in study_table(_report()).rows}
    assert rows["baseline"][1] == "5.000 ± 1.000"
    assert rows["only-3dmm"][1] == "-"
    assert rows["paper"][-1] == "0.250 ± 0.000"
    assert rows["always average face"][1] == "20.000"
    assert rows["always mean pose"][-1] == "0.750"


def test_differences_are_paired_by_seed_so_that_seeds_alike_leave_no_doubt() -> None:
    report = _report()
    report["runs"].sort(key=lambda run: run["variant"] != "baseline")
    rows = {row.cells[0]: row.cells for row in difference_table(report).rows}
    assert rows["paper"][1] == "-1.000 [-1.000, -1.000]"
    assert rows["only-3dmm"][1] == "-"
    for run in report["runs"]:
        if (run["variant"], run["seed"]) == ("paper", 0):
            run["metrics"]["nme"] = 0.0  # differences -4, -1, -1: deviation sqrt(3), error 1
    (shown,) = (row.cells for row in difference_table(report).rows if row.cells[0] == "paper")
    assert shown[1] == "-2.000 [-6.303, +2.303]"  # t of 2 degrees at 97.5 %: 4.303
