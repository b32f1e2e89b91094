import json
from dataclasses import replace
from pathlib import Path

import pytest

from engines.contract import Variant
from export.checks import CheckError
from export.exporting import ExportReport
from trans3dhead.cli.main import main


def test_the_summary_tells_files_nodes_and_differences(
    mesh_bundle: ExportReport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("export.exporting.export_bundle", lambda *_, **__: mesh_bundle)
    assert main(["export", "checkpoint", "out", "--json", str(tmp_path / "result.json")]) == 0
    said = capsys.readouterr().out
    for word in ("fp16-backbone", "reference.npz", "MatMul", "crop pixels", "conv", "metres"):
        assert word in said
    assert "licensed" not in said
    took = f"exported in {mesh_bundle.seconds:.1f} s with at most "
    assert took + f"{mesh_bundle.peak_memory / 2**30:.2f} GiB of memory" in said
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["differences"]["fp32"]["landmarks"] < 1e-3
    assert result["contract"]["variant"] == "mesh"
    assert (result["seconds"], result["peak_memory"]) == (
        mesh_bundle.seconds,
        mesh_bundle.peak_memory,
    )
    plain = result["plain_nodes"]
    assert "plain export" in said
    for name, entry in result["contract"]["recipes"].items():
        if name == "fp32":  # the lower ones have Casts besides
            assert sum(entry["node_counts"].values()) < sum(plain.values())
    assert "half precision ends at" not in said


def test_values_near_the_end_of_half_precision_are_said_aloud(
    mesh_bundle: ExportReport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = replace(mesh_bundle, near_overflow={"backbone.layer2": 3e4})
    monkeypatch.setattr("export.exporting.export_bundle", lambda *_, **__: report)
    assert main(["export", "checkpoint", "out"]) == 0
    assert "backbone.layer2 reaches 3e+04 over the reference images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variant", "included", "warned"),
    [("mesh", False, True), ("params", True, True), ("params", False, False)],
)
def test_a_licensed_basis_in_the_bundle_is_said_aloud(
    *,
    variant: Variant,
    included: bool,
    warned: bool,
    mesh_bundle: ExportReport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    contract = mesh_bundle.contract
    head = replace(
        contract.head, name="flame", licence="FLAME", redistributable=False, included=included
    )
    report = replace(mesh_bundle, contract=replace(contract, variant=variant, head=head))
    monkeypatch.setattr("export.exporting.export_bundle", lambda *_, **__: report)
    assert main(["export", "checkpoint", "out"]) == 0
    assert ("licensed data (FLAME): do not pass it on" in capsys.readouterr().out) == warned


def test_options_reach_the_export(
    mesh_bundle: ExportReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}

    def export(*paths: Path, **options: object) -> ExportReport:
        seen.update(options, paths=paths)
        return mesh_bundle

    monkeypatch.setattr("export.exporting.export_bundle", export)
    words = "export a b --variant mesh --recipes fp16 --batch dynamic --qamem conv --count 9"
    assert main([*words.split(), "--reference", "heads", "--head", "flame", "--include-head"]) == 0
    del seen["progress"]
    assert seen == {
        "paths": (Path("a"), Path("b")),
        "variant": "mesh",
        "recipes": ("fp16",),
        "batch": None,
        "qamem": "conv",
        "head": Path("flame"),
        "reference": Path("heads"),
        "split": "val",
        "count": 9,
        "include_head": True,
    }
    assert main(["export", "a", "b", "--batch", "4"]) == 0
    assert seen["batch"] == 4


def test_a_failed_check_closes_the_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CheckError(["fp16: params differs by 3", "fp16: outputs are none"])

    monkeypatch.setattr("export.exporting.export_bundle", fail)
    result = tmp_path / "result.json"
    assert main(["export", "a", "b", "--json", str(result)]) == 1
    assert "2 of the checks failed, nothing was published" in capsys.readouterr().out
    assert len(json.loads(result.read_text())["faults"]) == 2


def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("trans3dhead: ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
