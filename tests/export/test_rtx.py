"""Every graph, in every recipe and batch kind, is one that TensorRT-RTX builds a plan from."""

import shutil
from pathlib import Path

import pytest

from engines.building import build_engine
from engines.manifest import read_manifest
from export.exporting import ExportReport


@pytest.mark.slow  # the full size in fp32 and fp16 stands in test_full_size.py
@pytest.mark.parametrize(
    ("source", "recipe"),
    [
        *(
            ("mesh_bundle", recipe)
            for recipe in ("fp32", "fp16", "fp16-backbone", "bf16", "int8-backbone")
        ),
        ("static_bundle", "fp32"),
        ("static_bundle", "fp16"),
        ("static_bundle", "int8-backbone"),
    ],
)
def test_a_plan_is_built(
    source: str, recipe: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    report: ExportReport = request.getfixturevalue(source)
    bundle = shutil.copytree(report.folder, tmp_path / "bundle")
    manifest = read_manifest(build_engine(bundle, recipe, "tensorrt-rtx"))
    promised = report.contract.recipes[recipe].low_flops_share
    assert manifest.effective.low_flops_found == pytest.approx(promised, abs=0.005)
    assert (promised > 0) == (recipe != "fp32")
    assert manifest.size_bytes > 10_000
