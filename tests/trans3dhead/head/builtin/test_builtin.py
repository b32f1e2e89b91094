"""The built-in head: plausible as a head, and the same everywhere."""

import os
import subprocess
import sys

import numpy as np
import pytest

from trans3dhead.head.builtin.patches import EYE_CENTRE, EYE_RADIUS
from trans3dhead.head.builtin.topology import head_topology
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import JAW_JOINT, HeadModel
from trans3dhead.head.surface import SUBSETS


@pytest.fixture(scope="module")
def landmarks(head: HeadModel) -> np.ndarray:
    """[68, 3] of the mean head: x to the subject's left, y up, z out of the face."""
    return head.landmarks68(head.template[None])[0]


def test_it_may_be_passed_on(head: HeadModel) -> None:
    assert (head.name, head.licence, head.redistributable) == ("builtin", "Apache-2.0", True)


@pytest.mark.parametrize(
    "setting",
    [{"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F"}, {"OPENBLAS_CORETYPE": "Nehalem"}],
    ids=lambda setting: next(iter(setting)),
)
def test_other_arithmetic_gives_the_same_hash(head: HeadModel, setting: dict[str, str]) -> None:
    """Other instructions round other last bits; the digits kept do not show them."""
    script = "from trans3dhead.head.builtin import builtin_head; print(builtin_head().sha256)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | setting,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == head.sha256


def test_size_of_an_adult(head: HeadModel, landmarks: np.ndarray) -> None:
    skull = head.template[head.subset_head]
    width, height, depth = np.ptp(skull, axis=0)
    assert 0.14 < width < 0.20 and 0.22 < height < 0.27 and 0.19 < depth < 0.26
    assert abs(landmarks[42, 0] - landmarks[39, 0] - 0.033) < 0.004, "inner eye corners, metres"
    assert np.ptp(head.template[:, 1]) < 0.36


def test_it_is_symmetric(head: HeadModel) -> None:
    topology = head_topology()
    skin = head.template[: topology.skin_count]
    microns = np.round(skin * 1e6).astype(int)
    mirrored = microns * (-1, 1, 1)
    np.testing.assert_array_equal(np.unique(microns, axis=0), np.unique(mirrored, axis=0))


def test_no_two_vertices_coincide(head: HeadModel) -> None:
    """Neighbours at distance zero would make the ranks of Z5 a matter of chance."""
    assert len(np.unique(head.template, axis=0)) == len(head.template)


def test_landmarks_stand_where_ibug_puts_them(landmarks: np.ndarray) -> None:
    x, y, z = landmarks.T
    right, left = np.arange(8), np.arange(16, 8, -1)
    assert (x[right] < 0).all() and np.allclose(x[right], -x[left], atol=1e-5)
    assert (np.diff(x[:17]) > 0).all(), "the contour runs from the right ear to the left"
    assert y[:17].argmin() == 8 == y.argmin(), "the chin is lowest"
    assert (np.diff(x[17:27]) > 0).all() and y[17:27].min() > y[36:48].max(), "brows over eyes"
    assert (np.diff(y[27:31]) < 0).all() and np.allclose(x[27:31], 0, atol=1e-6), "down the nose"
    assert z.argmax() == 30 and (np.diff(x[31:36]) > 0).all(), "its tip is foremost"
    for outer, inner in ((36, 39), (45, 42)):
        assert abs(x[outer]) > abs(x[inner])
    for above, below in ((37, 41), (38, 40), (43, 47), (44, 46), (51, 57), (62, 66)):
        assert y[above] > y[below] and abs(x[above] - x[below]) < 1e-3
    assert (np.diff(x[48:55]) > 0).all() and (np.diff(x[54:60]) < 0).all(), "round the lips"
    assert (np.diff(x[60:65]) > 0).all() and (np.diff(x[64:68]) < 0).all()
    assert abs(x[48]) > abs(x[60]) and y[51] > y[62] > y[66] > y[57]
    order = [y[27], y[30], y[33], y[51], y[57], y[8]]
    assert order == sorted(order, reverse=True)


def test_contour_table_slides_on_the_side_turned_away(head: HeadModel) -> None:
    corners = head.template[head.faces[head.dynamic_landmark_faces]]  # [79, 17, 3 corners, 3]
    points = (corners * head.dynamic_landmark_barycentric[..., None]).sum(axis=2)
    to_the_right, to_the_left = points[39], points[78]
    assert (to_the_right[:6, 0] > points[0, :6, 0] + 5e-3).all()
    np.testing.assert_allclose(to_the_right[8:], points[0, 8:], atol=1e-6)
    np.testing.assert_allclose(to_the_left[::-1], to_the_right * [-1, 1, 1], atol=1e-4)


def test_subsets(head: HeadModel) -> None:
    assert {name: len(np.unique(subset)) for name, subset in head.subsets.items()} == SUBSETS
    assert head.template[head.subset_face, 2].min() > 0, "the face is in front"
    assert head.template[head.subset_head, 1].min() > -0.11, "the head is above the neck"
    chin = head.landmark_triangles[8]
    for subset in head.subsets.values():
        assert np.isin(chin, subset).all()
    assert len(np.setdiff1d(head.subset_head, head.subset_head_with_ears)) > 100


def test_lids_clear_the_eyeballs(head: HeadModel) -> None:
    topology = head_topology()
    for side, sign in (("left", 1), ("right", -1)):
        lids = head.template[topology.patches[f"{side}_eye"][2:]]
        distance = np.linalg.norm(lids - EYE_CENTRE * (sign, 1, 1), axis=-1)
        assert distance.min() > EYE_RADIUS
        ball = head.template[topology.eyeballs[0 if sign == 1 else 1]]
        np.testing.assert_allclose(ball.mean(axis=0)[0], EYE_CENTRE[0] * sign, atol=1e-4)


def test_directions_fall_in_size(head: HeadModel) -> None:
    size = np.sqrt((head.shape_directions.astype(float) ** 2).mean(axis=(0, 1)))
    for part in (size[:300], size[300:]):
        assert (np.diff(part) < 1e-7).all() and part[-1] > 1e-6
        assert part[0] > 10 * part[-1]
    assert 1e-3 < size[0] < 4e-3, "metres"


def test_directions_are_smooth(head: HeadModel) -> None:
    """Along an edge a displacement changes by less than the edge is long (3 deviations)."""
    edges = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]])
    a, b = edges.T
    length = np.linalg.norm(head.template[a] - head.template[b], axis=-1)
    long_enough = length > 1e-3
    for k in (0, 5, 20, 60, 150, 299):
        field = head.shape_directions[..., k]
        change = np.linalg.norm(field[a] - field[b], axis=-1)
        assert (3 * change[long_enough] < length[long_enough]).all(), k


def test_eyeballs_only_travel(head: HeadModel) -> None:
    """Shape moves an eyeball as a whole, expression does not move it at all."""
    for eyeball in head_topology().eyeballs:
        moves = head.shape_directions[eyeball]  # [546, 3, 400]
        assert np.ptp(moves, axis=0).max() < 1e-7
        assert np.abs(moves[..., :300]).max() > 1e-4
        assert not moves[..., 300:].any()


def test_expressions_stay_in_the_face(head: HeadModel) -> None:
    back = head.template[:, 2] < 0.015
    assert not head.shape_directions[back][..., 300:].any()


def test_jaw_opens_the_mouth(head: HeadModel, landmarks: np.ndarray) -> None:
    params = prior(LAYOUT_413)[None]
    params[:, LAYOUT_413.jaw_slice] = (0.3, 0, 0)
    opened = head.landmarks68(head.model_vertices(params) - np.float32([0, 0, 0.05]))[0]
    moved = np.linalg.norm(opened - landmarks, axis=1)
    assert opened[62, 1] - opened[66, 1] > 0.02, "metres between the lips"
    assert moved[[8, 57, 66]].min() > 0.015 and moved[17:48].max() < 0.002


def test_jaw_joint_lies_before_the_ears(head: HeadModel) -> None:
    joint = head.jaw_joint[0]
    np.testing.assert_allclose(joint, [0, -0.004, 0.008], atol=0.006)
    np.testing.assert_allclose(head.joint_regressor.sum(axis=1), 1, atol=1e-5)
    eyes = head.joint_regressor[3:] @ head.template
    np.testing.assert_allclose(eyes[0], EYE_CENTRE, atol=1e-6)
    np.testing.assert_allclose(eyes[1], EYE_CENTRE * (-1, 1, 1), atol=1e-6)


def test_jaw_region_is_smooth(head: HeadModel) -> None:
    topology = head_topology()
    jaw = head.skinning_weights[:, JAW_JOINT]
    assert jaw.min() >= 0 and jaw.max() > 0.95
    lips = np.zeros(len(jaw), bool)
    lips[topology.patches["mouth"]] = True
    edges = head.faces[~lips[head.faces].any(axis=1)][:, [0, 1]]
    assert np.abs(np.diff(jaw[edges], axis=1)).max() < 0.5
    np.testing.assert_allclose(head.skinning_weights.sum(axis=1), 1, atol=1e-6)


def test_colours_tell_the_parts_apart(head: HeadModel) -> None:
    topology = head_topology()
    lips = head.colors[topology.patches["mouth"][3]].astype(int)
    crown = head.colors[: topology.skin_count][topology.row > 49].astype(int)
    cheek = head.colors[head.landmark_triangles[3]].astype(int)
    pupil = head.colors[topology.eyeballs[0][0]].astype(int)
    assert (lips[:, 0] - lips[:, 1] > 60).all() and crown.mean() < 70 < cheek.mean()
    assert pupil.max() < 30
