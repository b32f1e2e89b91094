"""Every kind of output is seen or written, and what is written can be read again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from engines.errors import UserError
from trans3dhead.head.model import HeadModel
from trans3dhead.outputs import OUTPUT_KINDS, check_kinds, draw_outputs, record, write_outputs
from trans3dhead.outputs.drawing import DENSE_COLOR
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.outputs.subsets import subset_faces

HW = (240, 320)
IMAGE = np.full((*HW, 3), 90, np.uint8)
FILES = {
    "landmarks68": {"-drawn.png"},
    "dense": {"-drawn.png"},
    "face_mesh": {"-drawn.png"},
    "head_mesh": {"-drawn.png"},
    "pose": {"-drawn.png"},
    "params": {".json"},
    "obj": {".obj"},
    "ply": {".ply"},
    "glb": {".glb"},
    "depth": {"-depth.png", "-depth.json"},
    "normals": {"-normals.png"},
}


@pytest.fixture
def prediction(place_head: Any) -> Prediction:
    return place_head(HW, (90, 50, 130, 150), degrees=(5, -20, 10))


def test_every_kind_is_in_the_table_of_these_tests() -> None:
    assert list(FILES) == list(OUTPUT_KINDS)


@pytest.mark.parametrize("kind", FILES)
def test_a_kind_writes_its_files_and_leaves_nothing_else(
    tmp_path: Path, prediction: Prediction, kind: str
) -> None:
    written = write_outputs([kind], IMAGE, [prediction], tmp_path / "out" / "photo.v2")
    assert {path.name for path in written} == {f"photo.v2{end}" for end in FILES[kind]}
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    assert all(path.stat().st_size for path in written)


@pytest.mark.parametrize("kind", FILES)
def test_a_kind_that_can_be_seen_changes_the_image_and_the_others_do_not(
    prediction: Prediction, kind: str
) -> None:
    drawn = draw_outputs([kind], IMAGE, [prediction])
    seen = kind not in ("params", "obj", "ply", "glb")
    assert (drawn != IMAGE).any() == seen
    assert drawn is not IMAGE
    assert (IMAGE == 90).all()


def test_several_heads_share_the_drawing_and_have_files_of_their_own(
    tmp_path: Path, place_head: Any
) -> None:
    heads = [place_head(HW, (20 + 150 * k, 60, 100, 120), seed=k) for k in range(2)]
    kinds = ["landmarks68", "params", "pose", "obj"]
    written = write_outputs(kinds, IMAGE, heads, tmp_path / "photo")
    names = ["photo-drawn.png", "photo-0.json", "photo-0.obj", "photo-1.json", "photo-1.obj"]
    assert [path.name for path in written] == names
    drawn = cv2.imread(str(written[0]))
    assert drawn is not None
    np.testing.assert_array_equal(
        drawn[..., ::-1], draw_outputs(["landmarks68", "pose"], IMAGE, heads)
    )
    for index, head in enumerate(heads):
        found = json.loads((tmp_path / f"photo-{index}.json").read_text())
        assert found["bbox_xywh"] == list(head.bbox)
        assert found["image_height_width"] == list(HW)


def test_a_photo_without_a_head_gives_its_picture_alone(tmp_path: Path) -> None:
    (path,) = write_outputs(["landmarks68", "obj"], IMAGE, [], tmp_path / "photo")
    drawn = cv2.imread(str(path))
    assert drawn is not None
    np.testing.assert_array_equal(drawn, IMAGE)


@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
def test_a_written_mesh_loads_to_the_same_vertices(
    tmp_path: Path, prediction: Prediction, kind: str
) -> None:
    (path,) = write_outputs([kind], IMAGE, [prediction], tmp_path / "photo")
    mesh = trimesh.load(path, process=False, force="mesh")
    assert isinstance(mesh, trimesh.Trimesh)
    np.testing.assert_allclose(mesh.vertices, prediction.vertices * [1, -1, -1], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, prediction.surface.faces)
    colors = mesh.visual.vertex_colors[:, :3]  # type: ignore[union-attr]
    np.testing.assert_allclose(colors, prediction.surface.colors, atol=1)


def test_the_record_is_json_and_its_camera_takes_the_mesh_to_the_photo(
    prediction: Prediction,
) -> None:
    found = json.loads(json.dumps(record(prediction)))
    assert np.shape(found["landmarks_xy_pixels"]) == (68, 2)
    assert len(found["params"]) == 413
    assert found["pose_degrees"]["yaw"] == pytest.approx(-20, abs=1e-3)
    camera = found["camera"]
    shown = np.array(camera["origin_xy_pixels"]) + camera["pixels_per_metre"] * np.array(
        prediction.vertices[:, :2], float
    )
    np.testing.assert_allclose(shown, prediction.projected, atol=1e-3)
    assert (
        json.loads(json.dumps(record(replace(prediction, landmarks=None))))["landmarks_xy_pixels"]
        is None
    )


def test_face_and_head_are_two_lists_and_dense_takes_either_or_the_users(
    prediction: Prediction, head: HeadModel
) -> None:
    faces = {name: subset_faces(head, name) for name in head.subsets}
    for name, triangles in faces.items():
        members = set(head.subsets[name].tolist())
        expected = [all(int(v) in members for v in face) for face in head.faces]
        np.testing.assert_array_equal(triangles, head.faces[np.array(expected)])
    assert len({len(triangles) for triangles in faces.values()}) == 3
    mine = replace(prediction, subsets={"mine": np.array([10])})
    drawn = draw_outputs(["dense:mine"], np.zeros((*HW, 3), np.uint8), [mine])
    rows, columns = np.nonzero((drawn == DENSE_COLOR).all(axis=-1))
    x, y = prediction.projected[10]
    assert abs(columns.mean() + 0.5 - x) < 1
    assert abs(rows.mean() + 0.5 - y) < 1


def test_an_unknown_kind_or_subset_is_refused_with_the_names_there_are(
    prediction: Prediction,
) -> None:
    known = dict(prediction.surface.subsets)
    with pytest.raises(UserError, match=r"'mesh' is not known; expected some of landmarks68"):
        check_kinds(["obj", "mesh"], known)
    with pytest.raises(UserError, match="'pose:face' is not known"):
        check_kinds(["pose:face"], known)
    with pytest.raises(UserError, match="expected one of face, head, head_with_ears, mine"):
        check_kinds(["dense:191"], known | {"mine": np.array([1])})
    check_kinds([*OUTPUT_KINDS, "dense:head_with_ears"], known)
