"""Every row of the paper's tables goes the whole way at tiny size: built, trained a step, exported,
made an engine, verified."""

from dataclasses import replace
from pathlib import Path

import pytest

from trans3dhead.cli.main import execute
from trans3dhead.head.builtin import builtin_head
from trans3dhead.presets import PRESETS, preset, shrink
from trans3dhead.synth.dataset import write_dataset
from trans3dhead.training.keeping import CHECKPOINT_FILE
from trans3dhead.training.run import train_folder

ROWS = [name for name in PRESETS if preset(name).rows]
QUICK = ("only-3dmm",)
"""In the fast run: the one whose graph differs most, for it has no landmarks."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for split, count in (("train", 8), ("val", 3)):
        write_dataset(folder, split, count, 0, builtin_head(), size=96, workers=1)
    return folder


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ROWS]
)
def test_a_preset_goes_the_whole_way(name: str, data: Path, tmp_path: Path) -> None:
    tiny = shrink(preset(name))
    one_step = replace(tiny, training=replace(tiny.training, samples=tiny.training.batch))
    train_folder(one_step, head=builtin_head(), data=data, out=tmp_path / "out")
    checkpoint, bundle = tmp_path / "out" / CHECKPOINT_FILE, tmp_path / "bundle"
    words = [str(checkpoint), str(bundle), "--recipes", "fp32", "--count", "8"]
    assert execute("export", words).exit_code == 0
    assert execute("build", [str(bundle), "--recipe", "fp32"]).exit_code == 0
    report = execute("verify", [str(bundle / "engines" / "onnxruntime-fp32")]).report
    assert report.passed, report.headline
    measured = {row.metric for row in report.metrics if row.engine is not None}
    assert ("nme" in measured) != tiny.network.single_task
    assert {"chamfer", "pose_error"} <= measured
