"""`study`: every variant and seed once, what is finished kept, what failed told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import study as module
from benchmarks.study import LOG_FILE, RESULT_FILE, Plan, study
from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.config import BackboneConfig
from trans3dhead.presets import Preset
from trans3dhead.synth.dataset import write_dataset

PLAN = Plan(variants=("baseline", "only-3dmm"), seeds=(0, 1), samples=16, heads=8, unseen=3)


SMALL = {
    "backbone": BackboneConfig(block="basic", depths=(1, 1, 1), width=8),
    "image_size": 64,
    "hidden": 32,
    "heads": 2,
    "feedforward": 32,
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan's heads."""
    folder = tmp_path_factory.mktemp("heads")
    for split, count in (("train", PLAN.heads), ("val", PLAN.unseen)):
        write_dataset(folder, split, count, 3, builtin_head(), size=96, workers=1)
    return folder


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    def shrunk(preset: Preset) -> Preset:
        training = replace(preset.training, batch=8, warmup_steps=5)
        return replace(preset, network=replace(preset.network, **SMALL), training=training)

    monkeypatch.setitem(module.SIZES, "tiny", shrunk)


@pytest.mark.usefixtures("_small")
def test_every_run_is_made_once_and_the_same_alone_or_side_by_side(
    data: Path, tmp_path: Path
) -> None:
    head, told = builtin_head(), []
    found = study(PLAN, head, data, tmp_path / "two", at_once=2, tell=told.append)
    assert [(run.variant, run.seed) for run in found.runs] == [
        ("baseline", 0),
        ("only-3dmm", 0),
        ("baseline", 1),
        ("only-3dmm", 1),
    ]
    assert len(told) == 4
    assert "nme" in found.runs[0].metrics
    assert "nme" not in found.runs[1].metrics
    assert found.runs[0].metrics != found.runs[2].metrics
    assert set(found.runs[0].baselines) == {"average face", "mean pose"}

    results = sorted((tmp_path / "two").glob(f"*/{RESULT_FILE}"))
    results[0].unlink()
    again = study(PLAN, head, data, tmp_path / "two", tell=told.append)
    assert len(told) == 5  # the missing one alone
    assert [run.metrics for run in again.runs] == [run.metrics for run in found.runs]
    json.dumps(again.to_dict())


@pytest.mark.usefixtures("_small")
def test_a_run_that_fails_is_named_and_the_others_are_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = module.train_labelled

    def breaking(preset: Preset, **arguments: object) -> object:
        if preset.training.seed == 1:
            raise UserError("planted")
        return train(preset, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_labelled", breaking)
    plan = replace(PLAN, variants=("baseline",))
    with pytest.raises(UserError, match=r"1 of 2 runs failed; see .*-1-.*run\.txt"):
        study(plan, builtin_head(), data, tmp_path, tell=lambda line: None)
    assert len(list(tmp_path.glob(f"*/{RESULT_FILE}"))) == 1
    assert any("planted" in log.read_text() for log in tmp_path.glob(f"*/{LOG_FILE}"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": "huge"}, "size 'huge'"),
        ({"seeds": ()}, "seeds are"),
        ({"seeds": (1, 1)}, "seeds are"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(PLAN, **change)  # type: ignore[arg-type]
