"""Labels and pictures of one item agree."""

from dataclasses import replace

import numpy as np
import pytest

from trans3dhead.data.camera import project_to_image, true_rotation
from trans3dhead.data.dad3dheads import landmark_labels
from trans3dhead.head.model import HeadModel
from trans3dhead.synth.anatomy import anatomy_of
from trans3dhead.synth.canvas import Canvas
from trans3dhead.synth.painting import paint_head
from trans3dhead.synth.render import draw, prepare_item, render_item
from trans3dhead.synth.scene import Scene


def plain(scene: Scene) -> Scene:
    """The same scene in a clean picture: nothing before the face, no blur, no noise."""
    lens = replace(scene.lens, blur=0.0, motion=0.0, shrink=1.0, noise=0.0, jpeg=None)
    return replace(scene, lens=lens, occluded=False)


@pytest.mark.parametrize("index", range(6))
def test_labels_are_those_of_the_camera(head: HeadModel, index: int) -> None:
    scene, placed, _ = prepare_item(head, 5, index, 288, 1)
    annotation = placed.annotation
    np.testing.assert_allclose(true_rotation(annotation.model_view), scene.rotation, atol=1e-9)
    expected = head.model_vertices(scene.params[None])[0]
    np.testing.assert_allclose(annotation.vertices, expected, atol=6e-8)
    shown = project_to_image(
        annotation.vertices[head.subsets["head"]],
        annotation.model_view,
        annotation.projection,
        scene.camera.height,
    )
    x, y, w, h = placed.bbox
    np.testing.assert_allclose([x, y], shown.min(axis=0), atol=0.006)
    np.testing.assert_allclose([x + w, y + h], shown.max(axis=0), atol=0.011)
    # Perspective moves the middle of the box off the middle of the head, but not far.
    assert np.linalg.norm(np.array([x + w / 2, y + h / 2]) - scene.camera.centre) < 0.2 * h


@pytest.mark.parametrize("index", range(6))
def test_the_painted_head_fills_the_projected_vertices(head: HeadModel, index: int) -> None:
    scene, placed, rng = prepare_item(head, 5, index, 288, 1)
    looks = replace(scene.looks, hair_volume=0.0)
    height, width = scene.camera.height, scene.camera.width
    blank = np.zeros((2 * height, 2 * width, 3), np.uint8)
    canvas = Canvas(blank, 2, placed, scene.light, 10.0)  # so bright that nothing stays black
    paint_head(canvas, head, anatomy_of(head), looks, rng)
    rows, columns = np.nonzero(canvas.pixels.any(axis=-1))
    painted = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 2
    points = placed.pixels(placed.annotation.vertices)
    inside = np.clip(points, 0, [width, height])
    np.testing.assert_allclose(painted, [*inside.min(axis=0), *inside.max(axis=0)], atol=1.5)


def test_what_is_painted_on_the_lips_appears_at_their_landmarks(head: HeadModel) -> None:
    """Change only the colour of the lips: the picture changes there and nowhere else."""
    found = 0
    for index in range(30):
        scene, placed, _ = prepare_item(head, 5, index, 288, 1)
        if scene.attributes["pose"] != "front":
            continue
        pictures = []
        for lips in ((0.9, 0.1, 0.1), (0.1, 0.9, 0.1)):
            # No beard, which would cover the difference.
            looks = replace(scene.looks, lips=lips, beard=0.0)
            rng = np.random.default_rng(3)
            pictures.append(draw(head, plain(replace(scene, looks=looks)), placed, rng))
        change = np.abs(pictures[0].astype(int) - pictures[1]).sum(axis=-1)
        outline = landmark_labels(placed.annotation, head, scene.camera.height)[48:60]
        inside = (outline > 0).all() and (outline < [scene.camera.width, scene.camera.height]).all()
        if not inside or change.max() < 60:
            continue
        rows, columns = np.nonzero(change > 0.25 * change.max())
        np.testing.assert_allclose(
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1],
            [*outline.min(axis=0), *outline.max(axis=0)],
            atol=2.5,
        )
        found += 1
    assert found >= 4


def test_an_item_depends_on_its_numbers_alone(head: HeadModel) -> None:
    image = render_item(head, 2, 11, 96).image
    render_item(head, 2, 3, 96)
    np.testing.assert_array_equal(render_item(head, 2, 11, 96).image, image)
    for other in ((3, 11, 96, 0), (2, 12, 96, 0), (2, 11, 96, 1)):
        again = render_item(head, *other).image
        assert again.shape != image.shape or (again != image).any()


def test_pictures_are_neither_black_nor_white(head: HeadModel) -> None:
    for index in range(12):
        item = render_item(head, 9, index, 128)
        height, width = item.image.shape[:2]
        x, y, w, h = (round(value) for value in item.bbox)
        part = item.image[max(y, 0) : min(y + h, height), max(x, 0) : min(x + w, width)]
        assert 10 < part.mean() < 245
        assert part.std() > 8
