"""The paper's network through the whole export; its random weights say nothing of accuracy."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import onnx_ir as ir
import pytest

from engines.contract import Variant
from engines.manifest import read_manifest
from export.checks import TOLERANCES
from export.exporting import ExportReport, export_bundle
from export.recipes import QAMemForm
from export.untrained import save_untrained
from trans3dhead.cli.main import main
from trans3dhead.head.model import HeadModel
from trans3dhead.presets import preset

from .test_mesh_in_graph import LIMIT, ask_engine, farthest
from .test_rtx import build as build_plan

ROOT = Path(__file__).parents[2]
ON_TWO_CORES = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
from trans3dhead.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
BATCHES: dict[Variant, int | None] = {"params": 1, "mesh": None}
VARIANTS = tuple(BATCHES)
PLANS: list[tuple[Variant, str, QAMemForm]] = [
    ("params", "fp16", "matmul"),
    ("params", "bf16", "conv"),
    ("mesh", "fp32", "conv"),
    ("mesh", "fp16-backbone", "matmul"),
]
"""Each variant, batch kind and form twice. test_rtx.py has the whole product."""
SECONDS, MEMORY = 60, 4 * 2**30
"""What an export may take on two cores, with 64 reference images."""
REFERENCE_COUNT = 8
"""As many as the largest batch of the checks."""


@pytest.fixture(scope="module")
def bundles(
    tmp_path_factory: pytest.TempPathFactory, head: HeadModel
) -> dict[Variant, ExportReport]:
    """Both variants and batch kinds, both recipes each."""
    folder = tmp_path_factory.mktemp("full")
    save_untrained(folder / "paper.safetensors", preset("paper"), head)
    return {variant: _export(folder, variant) for variant in VARIANTS}


def _export(folder: Path, variant: Variant) -> ExportReport:
    return export_bundle(
        folder / "paper.safetensors",
        folder / variant,
        variant=variant,
        batch=BATCHES[variant],
        count=REFERENCE_COUNT,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_agrees_with_eager_at_batches_1_3_and_8(
    variant: Variant, bundles: dict[Variant, ExportReport]
) -> None:
    differences = bundles[variant].differences["fp32"]
    expected = ["landmarks", "params", "rotation"]
    expected += ["vertices", "projected"] if variant == "mesh" else []
    assert list(differences) == expected
    for name, difference in differences.items():
        assert difference <= TOLERANCES["float32"][name], name


@pytest.mark.parametrize("variant", VARIANTS)
def test_half_takes_nearly_all_the_arithmetic(
    variant: Variant, bundles: dict[Variant, ExportReport]
) -> None:
    report = bundles[variant]
    assert report.contract.recipes["fp16"].low_flops_share > 0.99
    # what the deployed form folds away is no work of an engine's: 0.46 of 14.03 GFLOP
    assert report.contract.cost.flops == pytest.approx(13.57e9, rel=0.001)
    assert report.contract.cost.weight_bytes["fp32"] > 170e6
    assert report.sizes["fp16.onnx"] < 120e6


@pytest.mark.parametrize("variant", VARIANTS)
def test_few_nodes_move_data(variant: Variant, bundles: dict[Variant, ExportReport]) -> None:
    # a plain export of the params outputs: 41 transposes, 50 reshapes, 59 MatMul, 8 Expand
    counts = bundles[variant].contract.recipes["fp16"].node_counts
    assert counts["Conv"] == 54  # ResNet-50 and the projection: nothing beside them
    assert counts["LayerNormalization"] == 11
    assert counts["Transpose"] <= 27
    assert counts["Reshape"] <= 27
    assert counts["MatMul"] + counts["Gemm"] <= 46


def test_the_mesh_in_half_is_that_of_its_own_parameters(
    bundles: dict[Variant, ExportReport], head: HeadModel
) -> None:
    assert farthest(ask_engine(bundles["mesh"].folder), head) <= LIMIT


@pytest.mark.parametrize(("variant", "recipe", "form"), PLANS)
def test_tensorrt_rtx_builds_four_graphs(
    *,
    variant: Variant,
    recipe: str,
    form: QAMemForm,
    bundles: dict[Variant, ExportReport],
    tmp_path: Path,
) -> None:
    build_plan(ir.load(bundles[variant].folder / "fp32.onnx"), recipe, form, tmp_path)


def test_build_prints_that_tensorrt_parses_most_of_it_in_half(
    bundles: dict[Variant, ExportReport], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx")
    folder = bundles["params"].folder
    assert main(["build", str(folder), "--recipe", "fp16", "--runtime", "tensorrt-rtx"]) == 0
    (share,) = re.findall(r"float16: (\d+) % of the FLOPs in half", capsys.readouterr().out)
    assert int(share) >= 90
    effective = read_manifest(folder / "engines" / "tensorrt-rtx-fp16").effective
    assert round(100 * effective.low_flops_found) == int(share)


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["1", "dynamic"])
def test_an_export_takes_less_than_a_minute_and_four_gib(
    batch: str, head: HeadModel, tmp_path: Path
) -> None:
    """The command as a person types it, on two cores; by its own figures and the system's."""
    save_untrained(tmp_path / "paper.safetensors", preset("paper"), head)
    words = ["export", "paper.safetensors", "out", "--variant", "mesh", "--batch", batch]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_TWO_CORES, *words, "--json", "result.json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0
    result = json.loads((tmp_path / "result.json").read_text())
    print(f"batch {batch}: {result['seconds']:.1f} s, {result['peak_memory'] / 2**30:.2f} GiB")
    assert seconds - 20 < result["seconds"] < seconds < SECONDS
    assert 0.9 * 1024 * usage.ru_maxrss < result["peak_memory"] <= 1024 * usage.ru_maxrss < MEMORY
