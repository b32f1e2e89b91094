"""A head is followed by its mesh, looked for again when it is lost, and keeps its number."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from trans3dhead.data.crop import BBox
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.prediction import Predictor
from trans3dhead.reading.agreement import disagreement, in_doubt, mesh_box
from trans3dhead.reading.tracking import Followed, HeadTracker, _Track

from .conftest import Image, find_square, squares

BOX = (50.0, 30.0, 35.0, 50.0)
"""As wide for its height as a head."""


class Scene:
    """A tracker and what it was shown."""

    def __init__(self, predictor: Predictor, **settings: object) -> None:
        self.predictor = predictor
        self.searched: list[int] = []
        self.frame = -1
        self.tracker = HeadTracker(self.detect, **settings)  # type: ignore[arg-type]

    def detect(self, image: Image) -> list[BBox]:
        self.searched.append(self.frame)
        return find_square(image)

    def show(self, *boxes: BBox) -> list[Followed]:
        self.frame += 1
        image = squares(120, 200, *boxes)
        return self.tracker.follow(image, partial(self.read, image))

    def read(self, image: Image, boxes: Sequence[BBox]) -> list[Prediction]:
        return self.predictor.predict(image, boxes)


def moved(box: BBox, right: float) -> BBox:
    return box[0] + right, *box[1:]


def test_the_box_follows_the_mesh_without_the_detector(predictor: Predictor) -> None:
    scene = Scene(predictor)
    for step in range(20):
        (followed,) = scene.show(moved(BOX, 3.0 * step))
        assert followed.track == 0
        assert not followed.doubt
        # mesh and square share their middle, wherever the square went
        x, _, w, _ = mesh_box(followed.head)
        assert abs(x + w / 2 - (67.5 + 3 * step)) < 2
    assert scene.searched == [0]


def test_a_still_head_keeps_its_crop_to_the_pixel(predictor: Predictor) -> None:
    scene = Scene(predictor)
    large = (50.0, 10.0, 70.0, 100.0)
    boxes = [scene.show(moved(large, shift))[0].head.bbox for shift in (0, 0, 1, 0, 1, 0)]
    assert len(set(boxes[2:])) == 1


def test_the_crop_is_where_a_moving_head_goes_not_where_it_was(predictor: Predictor) -> None:
    scene = Scene(predictor)
    for step in range(12):
        (followed,) = scene.show(moved(BOX, 6.0 * step))
        x, _, w, _ = followed.head.bbox
        # the speed is known from the third frame on
        assert step < 3 or abs(x + w / 2 - (67.5 + 6 * step)) < 2
    assert scene.searched == [0]


def test_the_size_of_the_crop_does_not_follow_every_answer() -> None:
    track = _Track(number=0, bbox=(0.0, 0.0, 100.0, 100.0))
    track.move((5.0, 0.0, 108.0, 108.0))
    assert track.bbox[2:] == (100, 100)
    track.move((5.0, 0.0, 120.0, 120.0))
    assert track.bbox[2:] == (120, 120)


def test_a_detected_size_is_met_half_way() -> None:
    track = _Track(number=0, bbox=(0.0, 0.0, 100.0, 100.0))
    track.resize((0.0, 0.0, 110.0, 110.0))
    assert track.bbox == (0, 0, 100, 100)
    track.resize((0.0, 0.0, 64.0, 64.0))
    assert track.bbox == pytest.approx((10, 10, 80, 80))


def test_after_a_cut_the_head_is_found_in_the_same_frame(predictor: Predictor) -> None:
    scene = Scene(predictor)
    scene.show(BOX)
    (followed,) = scene.show(moved(BOX, 90))
    assert scene.searched == [0, 1]
    assert followed.track == 1  # another head for all we know: no filter may join the two
    assert not followed.doubt
    x, _, w, _ = mesh_box(followed.head)
    assert abs(x + w / 2 - 157.5) < 2


def test_a_head_that_is_gone_is_dropped_after_some_patience(predictor: Predictor) -> None:
    scene = Scene(predictor, patience=3)
    scene.show(BOX)
    gone = [scene.show() for _ in range(6)]
    assert [len(heads) for heads in gone] == [1, 1, 1, 1, 0, 0]
    assert all(followed.doubt for heads in gone for followed in heads)
    (back,) = scene.show(BOX)
    assert back.track == 1
    assert not back.doubt


def test_new_heads_are_looked_for_now_and_then(predictor: Predictor) -> None:
    scene = Scene(predictor, interval=4)
    for _ in range(9):
        scene.show(BOX)
    assert scene.searched == [0, 4, 8]


def test_two_tracks_that_come_to_read_one_head_become_the_older(predictor: Predictor) -> None:
    still = moved(BOX, 60)
    scene = Scene(predictor, first=(BOX, still))
    shown = [scene.show(moved(BOX, step), still) for step in range(0, 60, 3)]
    assert [followed.track for followed in shown[0]] == [0, 1]
    assert [followed.track for followed in shown[-1]] == [0]


def test_given_boxes_take_the_detectors_place(predictor: Predictor) -> None:
    scene = Scene(predictor, first=[BOX])
    assert scene.show(BOX)[0].head.bbox == BOX
    assert scene.searched == []


def test_a_box_that_leaves_the_frame_ends_its_track(predictor: Predictor) -> None:
    scene = Scene(predictor)
    shown = [scene.show((x, 30, 40, 50)) for x in (150, 160, 170, 178, 185, 192)]
    assert len(shown[0]) == 1
    x, _, w, _ = mesh_box(shown[-1][0].head) if shown[-1] else (200.0, 0.0, 1.0, 0.0)
    assert x + w > 180 or not shown[-1]


def test_disagreement_is_the_mean_distance_in_per_cent_of_the_box(predictor: Predictor) -> None:
    head = predictor(squares(120, 200, BOX), BOX)
    assert head.landmarks is not None
    assert disagreement(head) == pytest.approx(0, abs=1e-4)
    size = np.sqrt(BOX[2] * BOX[3])
    apart = replace(head, landmarks=head.landmarks + np.array([0.06 * size, 0.08 * size]))
    assert disagreement(apart) == pytest.approx(10)
    assert in_doubt(apart, 9.9)
    assert not in_doubt(apart, 10.1)
    assert disagreement(replace(head, landmarks=None)) is None
    assert not in_doubt(replace(head, landmarks=None), 1)
    assert in_doubt(replace(head, projected=head.projected * np.nan), 1e9)
