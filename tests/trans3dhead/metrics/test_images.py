from dataclasses import replace

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.data.camera import to_camera
from trans3dhead.metrics import (
    METRICS,
    PUBLISHED,
    GroundTruth,
    Predicted,
    not_computable,
    per_image,
)
from trans3dhead.metrics.chamfer import chamfer


@pytest.fixture(scope="module")
def values(predicted, truth, head) -> dict[str, np.ndarray]:
    return per_image(predicted, truth, head)


def single(predicted: Predicted, truth: GroundTruth, i: int) -> tuple[Predicted, GroundTruth]:
    one = slice(i, i + 1)
    return (
        Predicted(
            landmarks=predicted.landmarks[one],
            vertices=predicted.vertices[one],
            rotation=predicted.rotation[one],
        ),
        GroundTruth(
            landmarks=truth.landmarks[one],
            bbox=truth.bbox[one],
            model_view=truth.model_view[one],
            vertices=truth.vertices[one],
        ),
    )


def test_every_metric_has_a_float64_for_each_image(values, truth):
    assert list(values) == list(METRICS)
    for array in values.values():
        assert array.shape == (len(truth),) and array.dtype == np.float64
        assert np.isfinite(array).all()


def test_a_batch_equals_its_singles(values, predicted, truth, head):
    for i in range(len(truth)):
        alone = per_image(*single(predicted, truth, i), head)
        for name, array in values.items():
            assert alone[name][0] == array[i], name


def test_a_perfect_answer_is_perfect(truth, rotations, head):
    posed = truth.vertices.astype(np.float64) @ np.swapaxes(rotations, 1, 2)
    perfect = Predicted(landmarks=truth.landmarks, vertices=posed, rotation=rotations)
    values = per_image(perfect, truth, head)
    for name in ("nme", "chamfer", "pose_error"):
        assert values[name] == pytest.approx(0, abs=1e-9)
    assert values["z5_defined"] == pytest.approx(1)
    assert values["z5_published"] == pytest.approx(1, abs=1e-3)  # float32 ties


def test_chamfer_reads_the_face_and_the_seven_landmarks(values, predicted, truth, head):
    """Nearest distances by the whole matrix; the face subset and the landmarks by their indices."""
    true = to_camera(truth.vertices[1], truth.model_view[1])
    mesh = predicted.vertices[1].astype(np.float64)
    seven = [36, 39, 42, 45, 33, 48, 54]
    lm, true_lm = head.landmarks68(np.stack([mesh, true]))[:, seven]
    expected = chamfer(mesh, lm, true[head.subsets["face"]], true_lm)
    assert values["chamfer"][1] == pytest.approx(expected, rel=1e-12)


BREAKS = {
    "a landmark shift": ("landmarks", lambda a: a + 1, {"nme"}),
    "two landmarks swapped": ("landmarks", lambda a: a[:, [1, 0, *range(2, 68)]], {"nme"}),
    "z negated": (
        "vertices", lambda a: a * [1, 1, -1], {"z5_published", "z5_defined"}
    ),  # Chamfer mirrors it back
    "vertices stretched": ("vertices", lambda a: a * [1, 1.2, 1], {"chamfer"}),
    "rotation transposed": ("rotation", lambda a: np.swapaxes(a, 1, 2), {"pose_error"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_moves_its_metric_and_no_other(name, values, predicted, truth, head):
    field, break_it, moved = BREAKS[name]
    broken = replace(predicted, **{field: break_it(getattr(predicted, field))})
    after = per_image(broken, truth, head)
    changed = {m for m in METRICS if not np.allclose(after[m], values[m], rtol=1e-9, atol=0)}
    assert changed == moved
    for metric in moved:
        worse = after[metric].mean() - values[metric].mean()
        assert worse > 0 if METRICS[metric].lower_is_better else worse < 0


def test_metres_or_millimetres_are_the_same_to_all_metrics(values, predicted, truth, head):
    """Chamfer aligns by a similarity, Z5 compares order: a wrong unit is for other gates to see."""
    after = per_image(replace(predicted, vertices=predicted.vertices * 1000), truth, head)
    for name, array in values.items():
        assert after[name] == pytest.approx(array, rel=1e-5), name


def test_what_is_not_given_is_left_out_with_a_reason(predicted, truth, head):
    single_task = replace(predicted, landmarks=None)
    assert not_computable(single_task) == {"nme": "the prediction has no landmarks"}
    assert list(per_image(single_task, truth, head)) == [m for m in METRICS if m != "nme"]
    assert not_computable(predicted) == {}
    nothing = Predicted(landmarks=None, vertices=None, rotation=None)
    assert set(not_computable(nothing)) == set(METRICS)
    assert per_image(nothing, truth, head) == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["landmarks", "vertices", "rotation"])
def test_a_number_that_is_none_is_named(field, bad, predicted, truth, head):
    array = np.array(getattr(predicted, field))
    array[1].flat[4] = bad
    with pytest.raises(UserError, match=rf"item ben, .*predicted {field} hold NaN .*\(1 of 3"):
        per_image(replace(predicted, **{field: array}), truth, head)


def test_a_truth_with_nan_is_named(predicted, truth, head):
    model_view = truth.model_view.copy()
    model_view[2, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"item cleo, .*true model_view hold NaN"):
        per_image(predicted, replace(truth, model_view=model_view), head)


def test_a_degenerate_image_is_named_with_its_metric(predicted, truth, head):
    bbox = truth.bbox.copy()
    bbox[2, 2] = 0
    with pytest.raises(UserError, match="item cleo, NME: the box is 0 x 120"):
        per_image(predicted, replace(truth, bbox=bbox), head)
    collapsed = predicted.vertices.copy()
    collapsed[0] = collapsed[0, 0]
    with pytest.raises(UserError, match=r"item ada, Chamfer: .* lie in one point"):
        per_image(replace(predicted, vertices=collapsed), truth, head)
    with pytest.raises(UserError, match="item 0, Chamfer"):
        nameless = replace(truth, item_ids=None)
        per_image(replace(predicted, vertices=collapsed), nameless, head)


def test_shapes_that_do_not_fit_are_named(predicted, truth, head):
    with pytest.raises(UserError, match=r"predicted landmarks came as \[2, 68, 2\]; expected \[3,"):
        per_image(replace(predicted, landmarks=predicted.landmarks[:2]), truth, head)
    with pytest.raises(UserError, match=r"predicted vertices came as \[3, 5000, 3\]"):
        per_image(replace(predicted, vertices=predicted.vertices[:, :5000]), truth, head)


def test_published_rows_have_the_papers_digits():
    shown = {(row.method, row.split): [row.shown(m) for m in METRICS] for row in PUBLISHED}
    assert shown["Trans3DHead", "val"] == ["1.822", "0.9585", "-", "2.796", "0.123"]
    assert shown["Trans3DHead", "test"] == ["2.248", "0.950", "-", "3.257", "0.153"]
    assert shown["3DDFA-V2", "test"] == ["3.580", "-", "-", "6.170", "0.527"]
