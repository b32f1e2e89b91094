"""Submissions: what a model writes scores as the model does, and so does any method's file."""

import json
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.cli.main import main
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.evaluation import evaluate
from trans3dhead.metrics import METRICS
from trans3dhead.submission import MESH, SEVEN, read_submission, score, write_submission


@pytest.fixture
def written(oracle, root: Path, head, tmp_path: Path) -> Path:
    """The predictions of one who knows the answers, almost."""
    write_submission(oracle, HeadDataset(root, "val"), head, tmp_path / "ours.json")
    return tmp_path / "ours.json"


def test_a_submission_scores_as_its_model_does(oracle, written: Path, root: Path, head) -> None:
    dataset = HeadDataset(root, "val")
    oracle.asked.clear()
    wanted, found = evaluate(oracle, dataset, head), score(read_submission(written), dataset, head)
    assert found.evaluation.item_ids == wanted.item_ids
    assert not found.missing and not found.unknown
    for name in METRICS:
        np.testing.assert_allclose(
            found.evaluation.per_image[name], wanted.per_image[name], rtol=1e-3, atol=1e-4
        )
    assert found.evaluation.by_attribute.keys() == wanted.by_attribute.keys()


def test_a_missing_item_is_counted_and_the_exit_code_says_so(
    written: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(written), "--data", str(root)]) == 0
    assert "have no prediction" not in capsys.readouterr().out
    content = json.loads(written.read_text())
    content["stranger"] = content.pop("head-2")
    written.write_text(json.dumps(content))
    assert main(["score", str(written), "--data", str(root)]) == 1
    told = capsys.readouterr().out
    assert "1 of 5 items have no prediction and are in no mean: head-2" in told
    assert "1 predictions are of no item of split val: stranger" in told
    assert "DAD-3DNet, val" in told


def test_a_mesh_of_another_method_has_no_z5(written: Path, root: Path, head) -> None:
    dataset, entries = HeadDataset(root, "val"), read_submission(written)
    whole = score(entries, dataset, head).evaluation.per_image["chamfer"]
    for entry in entries.values():
        entry[MESH] = 7 * np.concatenate([entry[MESH], entry[MESH][:1]]) + 1  # another frame too
        entry[SEVEN] = 7 * entry[SEVEN] + 1
    found = score(entries, dataset, head).evaluation
    assert set(found.per_image) == {"nme", "chamfer", "pose_error"}
    assert set(found.absent) == {"z5_published", "z5_defined"}
    assert "the mesh has 5024 points" in found.absent["z5_published"]
    np.testing.assert_allclose(found.per_image["chamfer"], whole, rtol=1e-6)


def test_all_that_is_wrong_with_a_file_is_listed(written: Path, tmp_path: Path) -> None:
    content = json.loads(written.read_text())
    del content["head-0"]["rotation_matrix"]
    content["head-1"]["7_landmarks_3d"] = [[0.0, 0.0, 0.0]] * 6
    content["head-3"]["68_landmarks_2d"][5][0] = float("nan")
    written.write_text(json.dumps(content))
    with pytest.raises(UserError) as told:
        read_submission(written)
    assert "head-0 has no rotation_matrix of 3 x 3 numbers" in str(told.value)
    assert "head-1 has [6, 3] for 7_landmarks_3d, not 7 x 3 numbers" in str(told.value)
    assert "head-3 has numbers that are not finite for 68_landmarks_2d" in str(told.value)
    for text, reason in (("[]", "holds a list"), ("{", "is not JSON")):
        written.write_text(text)
        with pytest.raises(UserError, match=reason):
            read_submission(written)
    with pytest.raises(UserError, match="cannot be read"):
        read_submission(tmp_path / "absent.json")


def test_a_submission_of_another_split_is_told(written: Path, root: Path, head) -> None:
    entries = {f"other-{name}": entry for name, entry in read_submission(written).items()}
    with pytest.raises(UserError, match="predicts no item of split val; expected ids such as head"):
        score(entries, HeadDataset(root, "val"), head)
