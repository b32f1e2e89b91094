"""One labelled image: the scene drawn, the head placed, everything painted back to front."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.crop import BBox
from trans3dhead.data.dad3dheads import Annotation
from trans3dhead.head.model import HeadModel
from trans3dhead.synth.anatomy import anatomy_of
from trans3dhead.synth.backdrop import backdrop
from trans3dhead.synth.canvas import Canvas
from trans3dhead.synth.figure import draw_long_hair, draw_openings, draw_shoulders
from trans3dhead.synth.occluders import draw_occluder, draw_spectacles
from trans3dhead.synth.painting import paint_head
from trans3dhead.synth.photograph import photograph
from trans3dhead.synth.placing import Placed, place
from trans3dhead.synth.scene import Scene, sample_scene

NOMINAL_SIZE = 288
SUPERSAMPLING = 2
"""The canvas is so many times finer than the image, which smooths every edge."""
SPECTACLES_SHARE = 0.15
REFERENCE_STREAM = 0
"""Draws of this stream are in no data set: `dataset.STREAMS` counts from 1."""


class RenderedItem(NamedTuple):
    """A labelled image."""

    image: NDArray[np.uint8]
    """[H, W, 3] RGB."""
    annotation: Annotation
    bbox: BBox
    attributes: dict[str, str | bool]


def render_item(
    head: HeadModel,
    seed: int,
    index: int,
    size: int = NOMINAL_SIZE,
    stream: int = REFERENCE_STREAM,
) -> RenderedItem:
    """Render item `index` of a seed.

    Args:
        head: the head model.
        seed: any whole number from 0.
        index: of the item; items do not depend on each other.
        size: nominal side of the image in pixels; width and height vary by a ninth around it.
        stream: separates the data sets of a seed; by default none of them.
    """
    scene, placed, paint_rng = prepare_item(head, seed, index, size, stream)
    image = draw(head, scene, placed, paint_rng)
    return RenderedItem(image, placed.annotation, placed.bbox, scene.attributes)


def prepare_item(
    head: HeadModel, seed: int, index: int, size: int, stream: int
) -> tuple[Scene, Placed, np.random.Generator]:
    """The labels of an item without its picture, and the generator that would paint it."""
    scene_seed, paint_seed = np.random.SeedSequence([seed, stream, index]).spawn(2)
    scene = sample_scene(np.random.default_rng(scene_seed), size)
    return scene, place(head, scene), np.random.default_rng(paint_seed)


def draw(
    head: HeadModel, scene: Scene, placed: Placed, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Paint a prepared item and photograph it: [H, W, 3] uint8 RGB."""
    return photograph(paint(head, scene, placed, rng), scene.lens, rng)


def paint(
    head: HeadModel, scene: Scene, placed: Placed, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A prepared item before any lens: [H, W, 3] uint8 RGB."""
    width, height, looks = scene.camera.width, scene.camera.height, scene.looks
    behind = backdrop(rng, (height + 1) // 2, (width + 1) // 2)  # out of focus: half will do
    pixels = cv2.resize(behind, (width * SUPERSAMPLING, height * SUPERSAMPLING))
    canvas = Canvas(
        np.asarray(pixels, np.uint8), SUPERSAMPLING, placed, scene.light, scene.lens.exposure
    )
    if looks.hair_length:
        draw_long_hair(canvas, head, looks, rng)
    anatomy = anatomy_of(head)
    draw_shoulders(canvas, anatomy, looks, rng)
    draw_openings(canvas, head, anatomy, looks)
    paint_head(canvas, head, anatomy, looks, rng)
    if rng.random() < SPECTACLES_SHARE:
        draw_spectacles(canvas, head, rng, dark=False)
    if scene.occluded:
        draw_occluder(canvas, head, looks, rng)
    picture = cv2.resize(canvas.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)
