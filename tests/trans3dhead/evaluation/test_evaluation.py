import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead import evaluation
from trans3dhead.data.crop import crop_box, crop_image, crop_transform
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.evaluation import ConstantAnswer, evaluate
from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.model import project
from trans3dhead.head.rotation import FRONTAL
from trans3dhead.metrics import METRICS
from trans3dhead.metrics.landmarks import nme


def test_the_truth_is_perfect(oracle, dataset, head):
    found = evaluate(oracle, dataset, head)
    assert list(found.means) == list(METRICS) and found.absent == {}
    assert found.item_ids == tuple(f"head-{i}" for i in range(5))
    assert found.means["nme"] == pytest.approx(0, abs=1e-9)
    assert found.means["pose_error"] == pytest.approx(0, abs=1e-6)
    assert found.means["chamfer"] == pytest.approx(0, abs=1e-6)
    assert found.means["z5_defined"] > 0.999
    assert found.means["z5_published"] > 0.99


def test_the_predictor_is_given_the_ten_per_cent_crops(oracle, dataset, head):
    evaluate(oracle, dataset, head)
    crops = np.concatenate(oracle.asked)
    box = crop_box(dataset.items[3].bbox, dataset.image(3).shape[:2])
    assert np.array_equal(crops[3], crop_image(dataset.image(3), box, oracle.image_size)[0])


def test_landmarks_are_measured_in_pixels_of_the_full_image(oracle, dataset, head):
    oracle.answers["landmarks"] = oracle.answers["landmarks"] + [3, 4]
    found = evaluate(oracle, dataset, head)
    longest_side = 108  # of the boxes grown by 10 %, whole pixels
    expected = 5 * longest_side / oracle.image_size / np.sqrt(90.5 * 80) * 100
    assert found.per_image["nme"] == pytest.approx([expected] * 5)


def test_batches_do_not_change_a_result(oracle, dataset, head, monkeypatch, params):
    oracle.answers["params"] = params + np.float32(0.05)
    at_once = evaluate(oracle, dataset, head)
    monkeypatch.setattr(evaluation, "BATCH", 2)
    oracle.asked.clear()
    in_parts = evaluate(oracle, dataset, head)
    assert [len(crops) for crops in oracle.asked] == [2, 2, 1]
    for name, values in at_once.per_image.items():
        assert values.shape == (5,)
        assert in_parts.per_image[name] == pytest.approx(values, rel=1e-5)
    assert in_parts.baselines == at_once.baselines == {}


def test_vertices_of_a_mesh_graph_are_taken_as_they_are(oracle, dataset, head, params):
    vertices = head.posed_vertices(params)
    camera_alone = np.where(np.arange(413) < LAYOUT_413.translation.start, np.nan, params)
    oracle.answers |= {"vertices": vertices, "params": camera_alone}
    by_graph = evaluate(oracle, dataset, head.surface())
    assert by_graph.means["chamfer"] == pytest.approx(0, abs=1e-6)
    oracle.asked.clear()
    oracle.answers["vertices"] = vertices * [1, 1.1, 1]
    assert evaluate(oracle, dataset, head).means["chamfer"] > 0.1


def test_short_parameter_vectors_are_widened(oracle, dataset, head, params):
    """60 = 40 shape, 10 expression, no jaw: all that these heads vary in."""
    oracle.answers["params"] = np.concatenate(
        [params[:, :40], params[:, 300:310], params[:, 403:]], axis=1
    )
    assert evaluate(oracle, dataset, head).means["chamfer"] == pytest.approx(0, abs=1e-6)


def test_a_single_task_network_has_no_nme(oracle, dataset, head):
    del oracle.answers["landmarks"]
    found = evaluate(oracle, dataset, head)
    assert found.absent == {"nme": "the prediction has no landmarks"}
    assert list(found.means) == [name for name in METRICS if name != "nme"]


def test_groups_by_attribute_add_up(oracle, dataset, head):
    oracle.answers["landmarks"] = oracle.answers["landmarks"] + np.arange(5)[:, None, None]
    found = evaluate(oracle, dataset, head)
    poses = found.by_attribute["pose"]
    assert {value: group.items for value, group in poses.items()} == {
        "atypical": 1,
        "front": 3,
        "sided": 1,
    }
    assert list(found.by_attribute["occlusions"]) == ["false", "true"]
    nme = found.per_image["nme"]
    assert poses["front"].means["nme"] == pytest.approx(nme[[0, 2, 4]].mean())
    assert found.by_attribute["occlusions"]["true"].means["nme"] == nme[0]
    for groups in found.by_attribute.values():
        total = sum(group.items * group.means["nme"] for group in groups.values())
        assert total / 5 == pytest.approx(found.means["nme"])


def test_constant_answers_are_measured_beside(oracle, dataset, head, params):
    face = oracle.answers["landmarks"][0] / oracle.image_size
    rotation = oracle.answers["rotation"][1]
    baselines = {
        "average face": ConstantAnswer(landmarks=face),
        "mean pose": ConstantAnswer(rotation=rotation),
        "frontal": ConstantAnswer(rotation=FRONTAL),
    }
    found = evaluate(oracle, dataset, head, baselines=baselines)
    assert {name: list(means) for name, means in found.baselines.items()} == {
        "average face": ["nme"],
        "mean pose": ["pose_error"],
        "frontal": ["pose_error"],
    }
    alone = evaluate_only(oracle, dataset, head, 0, landmarks=face)
    assert alone.baselines["constant"]["nme"] == pytest.approx(0, abs=1e-4)
    assert found.baselines["average face"]["nme"] > 0.5
    expected = [
        np.linalg.norm(np.eye(3) - rotation @ true.T) for true in oracle.answers["rotation"]
    ]
    assert found.baselines["mean pose"]["pose_error"] == pytest.approx(np.mean(expected))


def evaluate_only(oracle, dataset, head, item: int, **answer):
    """One item, with one constant answer."""
    dataset.items = dataset.items[item : item + 1]
    oracle.asked.clear()
    return evaluate(oracle, dataset, head, baselines={"constant": ConstantAnswer(**answer)})


def test_a_limit_takes_the_first_items(oracle, dataset, head):
    assert evaluate(oracle, dataset, head, limit=2).item_ids == ("head-0", "head-1")
    oracle.asked.clear()
    assert len(evaluate(oracle, dataset, head, limit=99).item_ids) == 5
    with pytest.raises(UserError, match="the limit is 0; expected at least 1"):
        evaluate(oracle, dataset, head, limit=0)


def test_a_broken_answer_names_its_item(oracle, dataset, head):
    rotation = oracle.answers["rotation"].copy()
    rotation[4, 0, 0] = np.nan
    oracle.answers["rotation"] = rotation
    with pytest.raises(UserError, match=r"item head-4, Pose error: predicted rotation hold NaN"):
        evaluate(oracle, dataset, head)


def test_a_split_without_annotations_is_refused(oracle, root: Path, head, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    index = copy / "DAD-3DHeadsDataset" / "val" / "val.json"
    entries = [
        {key: value for key, value in entry.items() if key != "annotation_path"}
        for entry in json.loads(index.read_text())
    ]
    index.write_text(json.dumps(entries))
    with pytest.raises(UserError, match="head-0 of split val has no annotation"):
        evaluate(oracle, HeadDataset(copy, "val"), head)


def test_the_result_is_json(oracle, dataset, head):
    found = evaluate(oracle, dataset, head, baselines={"frontal": ConstantAnswer(rotation=FRONTAL)})
    data = json.loads(json.dumps(found.to_dict()))
    assert data["metrics"]["pose_error"] == found.means["pose_error"]
    assert data["per_image"]["item_ids"][4] == "head-4"
    assert len(data["per_image"]["chamfer"]) == data["items"] == 5
    assert data["by_attribute"]["pose"]["front"]["items"] == 3
    assert set(data["seconds"]) == {"reading", "inference", "mesh", "metrics", "baselines"}


def test_no_torch_is_needed():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import trans3dhead.evaluation, trans3dhead.metrics, trans3dhead.cli.evaluate"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_mesh_has_an_nme_of_its_own(oracle, dataset, head, params) -> None:
    """By the predicted camera, which the annotation's is not: it is what the parameters say."""
    found = evaluate(oracle, dataset, head)
    assert found.mesh_nme is not None and found.mesh_nme.shape == (len(dataset),)
    points = project(head.landmarks68(head.posed_vertices(params)), params, oracle.image_size)
    for index, item in enumerate(dataset.items):
        box = crop_box(item.bbox, dataset.image(index).shape[:2])
        transform = crop_transform(box, oracle.image_size)
        true = dataset.labels(index, head)
        wanted = nme(transform.to_full(points[index]), true, np.array(item.bbox))
        assert found.mesh_nme[index] == pytest.approx(wanted, rel=1e-5)
    assert found.to_dict()["mesh_nme"] == pytest.approx(found.mesh_nme.mean())
    oracle.asked.clear()
    del oracle.answers["params"]
    assert evaluate(oracle, dataset, head).mesh_nme is None
