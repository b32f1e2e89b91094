"""The paper's network through the whole export; its random weights say nothing of accuracy."""

from pathlib import Path

import pytest

from engines.building import build_engine
from engines.contract import Variant
from engines.manifest import read_manifest
from export.checks import TOLERANCES
from export.exporting import ExportReport, export_bundle
from export.untrained import save_untrained
from trans3dhead.head.model import HeadModel
from trans3dhead.presets import preset

VARIANTS: tuple[Variant, ...] = ("params", "mesh")
GRAPHS = [(variant, recipe) for variant in VARIANTS for recipe in ("fp32", "fp16")]
REFERENCE_COUNT = 8
"""As many as the largest batch of the checks."""


@pytest.fixture(scope="module")
def bundles(
    tmp_path_factory: pytest.TempPathFactory, head: HeadModel
) -> dict[Variant, ExportReport]:
    """Both variants with an open batch, both recipes each."""
    folder = tmp_path_factory.mktemp("full")
    save_untrained(folder / "paper.safetensors", preset("paper"), head)
    return {variant: _export(folder, variant) for variant in VARIANTS}


def _export(folder: Path, variant: Variant) -> ExportReport:
    return export_bundle(
        folder / "paper.safetensors",
        folder / variant,
        variant=variant,
        batch=None,
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


@pytest.mark.parametrize(("variant", "recipe"), GRAPHS)
def test_tensorrt_rtx_builds_every_graph(
    variant: Variant, recipe: str, bundles: dict[Variant, ExportReport]
) -> None:
    pytest.importorskip("tensorrt_rtx")
    folder = build_engine(bundles[variant].folder, recipe, "tensorrt-rtx")
    manifest = read_manifest(folder)
    assert manifest.size_bytes > 10e6
    if recipe == "fp16":
        assert manifest.effective.low_flops_found > 0.9
