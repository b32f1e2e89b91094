"""Every sabotage is caught by the gate that should catch it, and honest engines pass."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parity.gates import precision_gate
from benchmarks.parity.harness import verify
from benchmarks.parity.results import ParityReport
from benchmarks.report.markdown import parity_markdown
from engines.bundle import CONTRACT_FILE, REFERENCE_FILE, Reference
from engines.contract import RecipeEntry
from engines.errors import ContractError, UserError
from engines.files import sha256_of, write_whole
from engines.manifest import BatchProfile, read_manifest
from engines.precision import Effective
from trans3dhead.cli.main import main
from trans3dhead.data.crop import CropTransform
from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.metrics import METRICS


def failed(report: ParityReport) -> set[str]:
    return {gate.name for gate in report.with_verdict("fail")}


@pytest.mark.parametrize("variant", ["params", "mesh"])
def test_an_honest_half_precision_engine_passes(workshops, honest_noise, variant) -> None:
    workshop = workshops(variant)
    folder = workshop.plant(honest_noise(workshop.answers))
    report = verify(folder)
    assert report.passed and report.verdict == "pass", report.headline
    assert "answers like PyTorch" in report.headline
    names = {gate.name for gate in report.gates}
    assert "vertices/chamfer" in names and "engine/precision" in names
    assert ("projected/movement_p99" in names) == (variant == "mesh")
    assert not report.with_verdict("not measured")
    assert report.images == 8
    assert "printed digits move: " in report.digits_line
    block = read_manifest(folder).parity
    assert block["verdict"] == "pass"
    assert block["reference_sha256"] == sha256_of(workshop.bundle / REFERENCE_FILE)
    assert block["margins_sha256"] == report.subject.margins_sha256


def test_the_engine_against_itself_moves_nothing(workshops) -> None:
    workshop = workshops("mesh")
    report = verify(workshop.plant(workshop.answers))
    assert all(row.difference == 0 and not row.digits_move for row in report.metrics)
    by_name = {row.metric: row.against_reference for row in report.metrics}
    assert by_name["nme"] == 0
    assert by_name["chamfer"] == pytest.approx(0, abs=1e-6)
    assert by_name["pose_error"] == pytest.approx(0, abs=1e-5)
    assert by_name["z5_published"] > 0.999


def test_the_judge_says_what_its_time_went_to(workshops, monkeypatch) -> None:
    workshop = workshops("params")
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))  # every look takes 1 s
    report = verify(workshop.plant(workshop.answers))
    stages = ["inference", "tensors", "batches", "vertices", *METRICS, "movements", "statistics"]
    assert list(report.seconds) == [*stages, "evidence"]
    assert all(taken >= 1 for taken in report.seconds.values())
    assert report.seconds["chamfer"] == 3  # of engine and PyTorch, and of the one by the other
    judging = sum(report.seconds.values()) - report.seconds["inference"] - report.seconds["batches"]
    assert "inference 1.00, tensors 1.00" in report.time_line
    assert report.time_line.endswith(f"beyond inference {judging:.2f} for 8 images")
    assert report.time_line.removeprefix("seconds") in parity_markdown(report)


SIZE = 32
"""Side of the workshop's crops."""


def scaled_landmarks(answers) -> None:
    middle = answers["landmarks"].mean(axis=(0, 1))
    answers["landmarks"] += 0.05 * (answers["landmarks"] - middle)


def swapped_landmarks(answers) -> None:
    answers["landmarks"][:, [36, 45]] = answers["landmarks"][:, [45, 36]]


def garbage(answers) -> None:
    order = np.random.default_rng(1).permutation(len(answers["params"]))
    for value in answers.values():
        value[:] = value[order]


def transposed_rotation(answers) -> None:
    answers["rotation"][:] = answers["rotation"].transpose(0, 2, 1).copy()


def negated_depth(answers) -> None:
    answers["vertices"][..., 2] *= -1


def scale_off(answers) -> None:
    answers["params"][:, LAYOUT_413.scale] = (
        1.005 * (answers["params"][:, LAYOUT_413.scale] + 1) - 1
    )


def millimetres(answers) -> None:
    answers["vertices"] *= 1000


def shifted_by_a_pixel(answers) -> None:
    answers["landmarks"][..., 0] += SIZE / 256  # of a crop 256 wide
    answers["projected"][..., 0] += SIZE / 256


def one_image_wrong(answers) -> None:
    answers["landmarks"][3] += 2


def collapsed_landmarks(answers) -> None:
    answers["landmarks"][:] = SIZE / 2


def collapsed_mesh(answers) -> None:
    answers["vertices"][:] = 0.1


SABOTAGE: list[tuple[Callable, set[str]]] = [
    (scaled_landmarks, {"landmarks/movement_p99", "landmarks/nme"}),
    (swapped_landmarks, {"landmarks/movement_p99", "landmarks/nme"}),
    (garbage, {"landmarks/nme", "rotation/pose_error", "vertices/movement_p99"}),
    (transposed_rotation, {"rotation/movement_p99", "rotation/pose_error"}),
    (negated_depth, {"vertices/z5_published", "vertices/movement_p99"}),
    (scale_off, {"params/placement_p99"}),
    (millimetres, {"vertices/movement_p99", "vertices/movement_largest"}),
    (shifted_by_a_pixel, {"landmarks/movement_p99", "projected/movement_p99"}),
    (one_image_wrong, {"landmarks/movement_largest"}),
    (collapsed_landmarks, {"landmarks/nme", "landmarks/movement_p99"}),
    (collapsed_mesh, {"vertices/chamfer", "vertices/movement_p99"}),
]


@pytest.mark.parametrize(
    ("damage", "gates"), SABOTAGE, ids=lambda value: getattr(value, "__name__", "")
)
def test_sabotage_fails_in_the_gates_that_should_catch_it(workshops, damage, gates) -> None:
    workshop = workshops("mesh")
    answers = workshop.answers
    damage(answers)
    report = verify(workshop.plant(answers))
    assert report.verdict == "fail"
    assert gates <= failed(report), report.headline
    told = parity_markdown(report)
    assert all(f"- {gate}: fail, " in told for gate in gates)
    touched = {gate.split("/")[0] for gate in gates}
    untouched = {name.split("/")[0] for name in failed(report)} - touched
    assert not untouched or damage is garbage, f"{untouched} failed without a reason"


def test_a_batch_in_the_wrong_order_fails(workshops) -> None:
    workshop = workshops("mesh")
    report = verify(workshop.plant(workshop.answers, reverse=True))
    assert {"landmarks/movement_p99", "vertices/movement_p99"} <= failed(report)
    assert "landmarks/movement_batches" in failed(report)  # alone, each answer is right


def test_one_nan_in_one_sample_of_32_fails(tmp_path, make_workshop) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=32)
    answers = workshop.answers
    answers["landmarks"][17, 3, 0] = np.nan
    report = verify(workshop.plant(answers, profile=BatchProfile(min=1, opt=32, max=32)))
    assert failed(report) == {"landmarks/finite"}
    assert (
        "- landmarks/finite: fail, 1 numbers that are not finite, first in sample 17 at [3, 0]"
        in (parity_markdown(report))
    )


def test_a_stale_engine_of_another_export_is_not_even_opened(tmp_path, make_workshop) -> None:
    old = make_workshop(tmp_path / "old", "params", images=6)
    new = make_workshop(tmp_path / "new", "params", images=7)
    stale = shutil.copytree(old.plant(old.answers), new.bundle / "engines" / "planted")
    with pytest.raises(
        ContractError, match=r"bundle's contract: built with .*rebuild: `trans3dhead"
    ):
        verify(stale)


def test_one_nan_fails_at_once_and_is_placed(workshops) -> None:
    workshop = workshops("mesh")
    answers = workshop.answers
    answers["vertices"][6, 4000, 1] = np.nan
    report = verify(workshop.plant(answers))
    assert failed(report) == {"vertices/finite"}
    (gate,) = report.with_verdict("fail")
    assert gate.value == 1
    assert "sample 6 at [4000, 1]" in gate.line()
    assert {gate.quantity for gate in report.with_verdict("not measured")} >= {"nme", "chamfer"}
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("recipe", "precision", "share"),
    [
        ("fp16", "effective float32", 0.0),
        ("fp16", "float16", 0.4),
        ("fp16", "bfloat16", 0.97),
        ("fp32", "float16", 0.97),
        ("fp32", "float32", 0.5),
    ],
)
def test_another_precision_than_promised_fails(workshops, recipe, precision, share) -> None:
    workshop = workshops("params")
    promised = 0.97 if recipe == "fp16" else 0.0
    effective = Effective(precision=precision, low_flops_promised=promised, low_flops_found=share)
    folder = workshop.plant(workshop.answers, recipe=recipe, effective=effective)
    report = verify(folder)
    assert failed(report) == {"engine/precision"}
    assert "the recipe promises" in report.with_verdict("fail")[0].line()


@pytest.mark.parametrize(
    ("stated", "found", "verdict"),
    [(1.0, 1.0, "pass"), (0.2, 0.2, "pass"), (0.2, 1.0, "fail"), (1.0, 0.1, "fail")],
)
def test_more_in_low_precision_than_the_recipe_has_to_be_stated(stated, found, verdict) -> None:
    """OpenVINO states that its bfloat16 is of the whole graph."""
    entry = RecipeEntry(qamem="conv", precision="bfloat16", low_flops_share=0.2, node_counts={})
    effective = Effective(precision="bfloat16", low_flops_promised=stated, low_flops_found=found)
    assert precision_gate(entry, effective).verdict == verdict


@pytest.mark.parametrize(
    ("precision", "found", "verdict"),
    [
        ("int8 and float32", 0.6, "pass"),
        ("int8 and bfloat16", 0.6, "pass"),
        ("int8 and float32", 0.3, "fail"),
        ("float32", 0.0, "fail"),
    ],
)
def test_a_quantised_recipe_promises_int8(precision, found, verdict) -> None:
    entry = RecipeEntry(
        qamem="conv",
        precision="float32",
        low_flops_share=0.6,
        node_counts={"DequantizeLinear": 9},
    )
    effective = Effective(precision=precision, low_flops_promised=0.6, low_flops_found=found)
    gate = precision_gate(entry, effective)
    assert gate.verdict == verdict
    assert verdict == "pass" or "promises int8 and float32 for 60.0%" in gate.reason


def test_native_half_keeps_the_promise(workshops) -> None:
    workshop = workshops("params")
    native = Effective(precision="float16", low_flops_promised=0.97, low_flops_found=0.96)
    assert verify(workshop.plant(workshop.answers, effective=native)).passed


def test_scatter_at_the_size_of_the_margin_is_inconclusive(workshops) -> None:
    """Half of the images get a little better, half a little worse: more images would tell."""
    workshop = workshops("params")
    answers, reference = workshop.answers, workshop.reference
    crops = [CropTransform.from_array(crop) for crop in reference.crops]
    truth = np.stack(
        [
            crop.to_crop(points)
            for crop, points in zip(crops, reference.truth_landmarks, strict=True)
        ]
    )
    share = np.where(np.arange(len(crops)) % 2, 0.008, -0.008)[:, None, None]
    answers["landmarks"] += (share * (answers["landmarks"] - truth)).astype(np.float32)
    report = verify(workshop.plant(answers))
    assert report.verdict == "inconclusive", report.headline
    assert not report.passed
    (gate,) = report.with_verdict("inconclusive")
    assert gate.name == "landmarks/nme"
    assert gate.images_needed is not None and 8 < gate.images_needed < 200
    assert f"about {gate.images_needed} images would settle it" in gate.line()


def test_few_images_show_nothing(workshops) -> None:
    workshop = workshops("params")
    report = verify(workshop.plant(workshop.answers), limit=3)
    assert report.verdict == "inconclusive"
    nme = next(gate for gate in report.gates if gate.quantity == "nme")
    assert (nme.interval, nme.images_needed) == (None, 6)


@pytest.mark.parametrize("variant", ["params", "mesh"])
def test_without_the_basis_what_needs_it_is_not_measured(tmp_path, make_workshop, variant) -> None:
    workshop = make_workshop(tmp_path / "bundle", variant, images=6)
    other_head(workshop.bundle)
    report = verify(workshop.plant(workshop.answers))
    assert report.verdict == "pass"
    unmeasured = {gate.name: gate.reason for gate in report.with_verdict("not measured")}
    if variant == "mesh":
        assert not unmeasured
    else:
        assert {"vertices/chamfer", "vertices/z5_published", "vertices/movement_p99"} <= set(
            unmeasured
        )
        assert "--head FOLDER" in unmeasured["vertices/chamfer"]


def other_head(bundle: Path) -> None:
    """Turn the bundle's head into a licensed one whose basis it does not hold."""
    path = bundle / CONTRACT_FILE
    contract = json.loads(path.read_text())
    contract["head"] |= {"name": "generic", "sha256": "1" * 64, "included": False}
    write_whole(path, json.dumps(contract))


def test_another_head_model_is_refused(tmp_path, make_workshop) -> None:
    from trans3dhead.head.builtin import builtin_head

    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    other_head(workshop.bundle)
    builtin_head().save(tmp_path / "head" / "head.npz")
    with pytest.raises(UserError, match="expected 'generic'"):
        verify(workshop.plant(workshop.answers), tmp_path / "head")


def test_no_ground_truth_leaves_the_metrics_unmeasured(tmp_path, make_workshop) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=6, truth=False)
    report = verify(workshop.plant(workshop.answers))
    reasons = {gate.name: gate.reason for gate in report.with_verdict("not measured")}
    assert "no ground truth" in reasons["landmarks/nme"]
    assert report.verdict == "pass"
    assert "not measured" in report.digits_line
    assert report.metrics[0].against_reference == 0


@pytest.mark.parametrize(
    ("field", "metrics", "reason"),
    [
        ("truth_vertices", {"z5_published", "z5_defined", "chamfer"}, "ground truth coincide"),
        ("bboxes", {"nme"}, "expected both above 0"),
    ],
)
def test_a_degenerate_truth_is_a_reason_and_never_a_number(
    tmp_path, make_workshop, field, metrics, reason
) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    flat = np.zeros_like(getattr(workshop.reference, field))
    reseal(workshop.bundle, replace(workshop.reference, **{field: flat}))
    report = verify(workshop.plant(workshop.answers))
    reasons = {row.metric: row.reason for row in report.metrics if row.reason}
    assert set(reasons) == metrics
    assert all(reason in told and "head-000" in told for told in reasons.values())
    assert {gate.quantity for gate in report.with_verdict("not measured")} == metrics
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_batch_that_no_profile_divides_is_judged_whole(workshops) -> None:
    workshop = workshops("params")
    folder = workshop.plant(workshop.answers, profile=BatchProfile(min=5, opt=5, max=5))
    report = verify(folder, limit=7)
    assert report.images == 7
    assert report.passed


def test_the_command_prints_the_verdict_and_its_exit_code(
    workshops, honest_noise, tmp_path, capsys
) -> None:
    workshop = workshops("params")
    good = workshop.plant(honest_noise(workshop.answers))
    files = [str(tmp_path / name) for name in ("r.json", "r.html", "r.md")]
    words = [
        "verify",
        str(good),
        "--limit",
        "7",
        "--json",
        files[0],
        "--html",
        files[1],
        "--markdown",
        files[2],
    ]
    assert main(words) == 0
    found = json.loads(Path(files[0]).read_text())
    assert found["verdict"] == "pass"
    assert found["gates"][0]["name"] == "engine/precision"
    assert len(found["evidence"]["largest_movement"]["landmarks/movement"]["values"]) == 7
    assert all(Path(file).stat().st_size > 2000 for file in files)
    answers = workshop.answers
    scaled_landmarks(answers)
    capsys.readouterr()
    assert main(["verify", str(workshop.plant(answers))]) == 1
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if line.startswith("landmarks/nme: fail"))
    assert "95 % [" in line and "margin" in line
    assert any(line.startswith("seconds: inference ") for line in lines)
    assert lines[-1].startswith("FAIL: ")


def test_the_command_refuses_what_it_cannot_use(workshops, tmp_path, capsys) -> None:
    workshop = workshops("params")
    folder = workshop.plant(workshop.answers)
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert main(["verify", str(folder), "--limit", "0"]) == 2
    assert main(["verify", str(folder), "--margins", str(tmp_path / "none.toml")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "--limit 0 came" in lines[1]


def test_a_truncated_reference_is_refused(tmp_path, make_workshop) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    folder = workshop.plant(workshop.answers)
    path = workshop.bundle / REFERENCE_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ContractError, match="was cut or altered"):
        verify(folder)


def reseal(bundle: Path, reference: Reference) -> None:
    """Put another reference into a bundle whose contract then knows it."""
    write_whole(bundle / REFERENCE_FILE, reference.to_bytes())
    contract = json.loads((bundle / CONTRACT_FILE).read_text())
    contract["files"][REFERENCE_FILE] = sha256_of(bundle / REFERENCE_FILE)
    write_whole(bundle / CONTRACT_FILE, json.dumps(contract))


def test_a_reference_that_is_not_finite_is_refused(tmp_path, make_workshop) -> None:
    workshop = make_workshop(tmp_path / "bundle", "params", images=6)
    params = workshop.reference.params.copy()
    params[2, 3] = np.inf
    reseal(workshop.bundle, replace(workshop.reference, params=params))
    with pytest.raises(ContractError, match="params hold NaN"):
        verify(workshop.plant(workshop.answers))


def test_verify_works_where_torch_is_not_installed(workshops, without_torch, tmp_path) -> None:
    workshop = workshops("mesh")
    folder = workshop.plant(workshop.answers)
    done = without_torch("verify", folder, "--limit", 6, "--html", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
