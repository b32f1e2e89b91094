"""Drawings lie where the camera says, at every size of the photo and at its border."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trans3dhead.data.crop import BBox
from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.model import HeadModel
from trans3dhead.outputs import draw_outputs
from trans3dhead.outputs.drawing import LANDMARK_COLOR
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.outputs.subsets import subset_faces
from trans3dhead.prediction import Predictor

PLACES: dict[str, tuple[tuple[int, int], BBox]] = {
    "square, in the middle": ((256, 256), (60, 50, 130, 150)),
    "wide, at the right border": ((480, 854), (600, 90, 300, 330)),
    "tall, the crop leaves above and left": ((1350, 607), (-190, -160, 380, 420)),
    "panorama, taller than the image": ((300, 1100), (420, -30, 330, 470)),
}


class KnownCamera:
    """An engine that knows where one head is: it answers each crop with the right numbers."""

    class contract:  # noqa: N801 - stands in for an attribute
        class image:  # noqa: N801
            size = 256


def known_camera(
    head: HeadModel, image_hw: tuple[int, int], bbox: BBox
) -> tuple[Prediction, np.ndarray]:
    """A prediction through `Predictor`, and where the camera sees the 68 landmarks [68, 2].

    The camera is chosen in the photo (500 pixels a metre and so on); what the network would have
    to answer for its crop is worked out from there, by SPEC 3 backwards.
    """
    x, y, w, h = bbox
    scale, origin = h / 0.26, np.array([x + 0.52 * w, y + 0.47 * h])
    engine: Any = KnownCamera()
    predictor = Predictor(engine, head)
    crop = predictor.crop(np.zeros((*image_hw, 3), np.uint8), bbox)
    params = np.zeros((1, 413), np.float32)
    params[:, LAYOUT_413.shape_slice] = np.random.default_rng(1).normal(size=300)
    angle = 0.4
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    rotation = np.diag([1.0, -1.0, -1.0]) @ turn
    params[:, LAYOUT_413.rotation] = np.concatenate([rotation[:, 0], rotation[:, 1]])
    crop_scale = scale * crop.transform.scale  # crop pixels a metre
    crop_origin = (origin - [crop.transform.x, crop.transform.y]) * crop.transform.scale
    crop_origin += [crop.transform.pad_x, crop.transform.pad_y]
    params[:, LAYOUT_413.scale] = crop_scale / 128 - 1
    params[:, LAYOUT_413.translation.start : LAYOUT_413.translation.start + 2] = (
        crop_origin / 128 - 1
    )
    points = head.landmarks68(head.model_vertices(params))[0].astype(np.float64)
    expected = origin + scale * (points @ rotation.T)[:, :2]
    crop_points = (expected - [crop.transform.x, crop.transform.y]) * crop.transform.scale
    crop_points += [crop.transform.pad_x, crop.transform.pad_y]
    answers = {"params": params, "rotation": rotation[None], "landmarks": crop_points[None]}
    return predictor.assemble([crop], answers)[0], expected


def centre_of(drawn: np.ndarray) -> np.ndarray:
    """(x, y) of the middle of what is not black, in pixels that cover [k, k + 1)."""
    green = drawn[..., 1]
    rows, columns = np.nonzero(green)
    lit = green[rows, columns].astype(float)
    return np.array([(columns + 0.5) @ lit, (rows + 0.5) @ lit]) / lit.sum()


def silhouette(corners: np.ndarray, image_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels whose centre lies in a triangle of [F, 3, 2] that faces the camera, [H, W] bool.

    Once for those well inside, once for those that rounding may put on either side as well.
    """
    height, width = image_hw
    surely, perhaps = np.zeros((height, width), bool), np.zeros((height, width), bool)
    for a, b, c in corners:
        ab, ac = b - a, c - a
        area = ab[0] * ac[1] - ab[1] * ac[0]
        if area >= 0:
            continue
        low = np.clip(np.floor(np.min([a, b, c], axis=0)).astype(int), 0, [width, height])
        high = np.clip(np.ceil(np.max([a, b, c], axis=0)).astype(int), 0, [width, height])
        x = np.arange(low[0], high[0]) + 0.5 - a[0]
        y = np.arange(low[1], high[1])[:, None] + 0.5 - a[1]
        u, v = (x * ac[1] - y * ac[0]) / area, (ab[0] * y - ab[1] * x) / area
        least = np.minimum(np.minimum(u, v), 1 - u - v)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        surely[window] |= least > 1e-3
        perhaps[window] |= least > -1e-3
    return surely, perhaps


@pytest.mark.parametrize("place", PLACES)
def test_a_drawn_landmark_is_within_a_pixel_of_its_projection(head: HeadModel, place: str) -> None:
    (height, width), bbox = PLACES[place]
    prediction, expected = known_camera(head, (height, width), bbox)
    np.testing.assert_allclose(prediction.mesh_landmarks, expected, atol=0.01)
    black = np.zeros((height, width, 3), np.uint8)
    checked, worst = 0, 0.0
    assert prediction.landmarks is not None
    for index, point in enumerate(expected):
        alone = replace(prediction, landmarks=prediction.landmarks[[index]])
        drawn = draw_outputs(["landmarks68"], black, [alone])
        if (point < -3).any() or (point > np.array([width, height]) + 3).any():
            assert not drawn.any()
        elif (point > 3).all() and (point < np.array([width, height]) - 3).all():
            worst = max(worst, float(np.linalg.norm(centre_of(drawn) - point)))
            checked += 1
    assert checked >= 25
    assert worst < 1
    assert (checked == 68) == ("middle" in place)


@pytest.mark.parametrize("place", PLACES)
def test_the_photos_camera_takes_vertices_to_pixels(head: HeadModel, place: str) -> None:
    prediction, _ = known_camera(head, *PLACES[place])
    camera = prediction.to_full_image()
    _, _, _, h = PLACES[place][1]
    assert camera.pixels_per_metre == pytest.approx(h / 0.26, rel=1e-5)
    np.testing.assert_allclose(camera.pixels(prediction.vertices), prediction.projected, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "subset", "place"),
    [("face_mesh", "face", "square, in the middle"), *(("head_mesh", "head", p) for p in PLACES)],
)
def test_a_drawn_mesh_covers_its_projected_silhouette(
    head: HeadModel, place: str, kind: str, subset: str
) -> None:
    image_hw, bbox = PLACES[place]
    prediction, _ = known_camera(head, image_hw, bbox)
    drawn = draw_outputs([kind], np.full((*image_hw, 3), 255, np.uint8), [prediction])
    covered = (drawn != 255).any(axis=-1)
    surely, perhaps = silhouette(prediction.projected[subset_faces(head, subset)], image_hw)
    assert surely.sum() > 2000
    assert covered[surely].all()
    assert not covered[~perhaps].any()


def test_nothing_is_drawn_on_the_crop(head: HeadModel) -> None:
    """A thin line of the photo, one pixel wide, survives beside the head: no resampling."""
    image_hw, bbox = PLACES["wide, at the right border"]
    prediction, _ = known_camera(head, image_hw, bbox)
    image = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
    drawn = draw_outputs(["head_mesh", "landmarks68", "pose"], image, [prediction])
    assert drawn.shape == image.shape
    np.testing.assert_array_equal(drawn[:, :500], image[:, :500])
    assert (drawn != image).any()


def test_landmarks_have_their_own_colour(head: HeadModel) -> None:
    prediction, _ = known_camera(head, *PLACES["square, in the middle"])
    drawn = draw_outputs(["landmarks68"], np.zeros((256, 256, 3), np.uint8), [prediction])
    assert (drawn == LANDMARK_COLOR).all(axis=-1).sum() > 68
