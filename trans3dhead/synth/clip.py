"""A video of one rendered head before a camera that stands still: what predicting in video is
tried on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.crop import BBox
from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.model import HeadModel
from trans3dhead.head.rotation import rotation_from_euler, six_d_from_rotation
from trans3dhead.synth.photograph import photograph
from trans3dhead.synth.placing import Placed, place
from trans3dhead.synth.render import paint
from trans3dhead.synth.scene import Camera, Scene, sample_scene

SEED = 14
"""The person, the light and the room: chosen, evenly lit and with nothing before the face."""
DISTANCE = 0.9
"""Metres from the camera to the head, as at a desk."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What is filmed."""

    moving: bool
    """Whether the head turns, wanders and speaks; it stands still otherwise."""
    seconds: float = 10.0
    rate: float = 30.0
    """Frames a second."""
    width: int = 1280
    height: int = 720
    """Pixels of a frame."""
    noise: float = 2.0
    """Grey levels, standard deviation: drawn anew in every frame, as a sensor's is."""

    @property
    def frames(self) -> int:
        return round(self.seconds * self.rate)


class ClipFrame(NamedTuple):
    """A frame and the truth about it."""

    image: NDArray[np.uint8]
    """[H, W, 3] RGB."""
    bbox: BBox
    """(x, y, w, h) of the "head" vertices, pixels."""
    landmarks: NDArray[np.float64]
    """[68, 2] pixels."""


def render_clip(head: HeadModel, clip: Clip) -> Iterator[ClipFrame]:
    """Film a head; the same frames at every call.

    Yields:
        `clip.frames` frames. In a still clip they differ by the sensor's noise alone.
    """
    scene = sample_scene(np.random.default_rng(SEED), clip.height)
    lens = replace(scene.lens, blur=0.4, motion=0.0, shrink=1.0, noise=clip.noise, jpeg=None)
    grain = np.random.default_rng(SEED + 1)
    placed, picture = _painted(head, scene, clip, 0.0)
    for frame in range(clip.frames):
        if clip.moving and frame:
            placed, picture = _painted(head, scene, clip, frame / clip.rate)
        vertices = placed.annotation.vertices
        yield ClipFrame(
            photograph(picture, lens, grain),
            placed.bbox,
            placed.pixels(head.landmarks68(vertices[None])[0]).astype(np.float64),
        )


def _painted(
    head: HeadModel, scene: Scene, clip: Clip, seconds: float
) -> tuple[Placed, NDArray[np.uint8]]:
    """The scene at a moment, before the lens. The room and the hair are the same at all of them."""
    moment = _at(scene, clip, seconds)
    placed = place(head, moment)
    return placed, paint(head, moment, placed, np.random.default_rng(SEED))


def _at(scene: Scene, clip: Clip, seconds: float) -> Scene:
    """Pose, place and jaw at a moment: swings of unlike periods, about half a head a second."""

    def swing(reach: float, period: float) -> float:
        return reach * float(np.sin(2 * np.pi * seconds / period))

    rotation = rotation_from_euler(np.array([swing(8, 4.3), swing(30, 5.0), swing(6, 3.2)]))
    params = scene.params.copy()
    params[LAYOUT_413.rotation] = six_d_from_rotation(rotation)
    params[LAYOUT_413.jaw_slice] = [abs(swing(0.2, 1.4)), 0, 0]
    height = 0.42 * min(clip.width, clip.height)
    camera = Camera(
        width=clip.width,
        height=clip.height,
        head_height=height,
        distance=DISTANCE,
        centre=(
            clip.width / 2 + swing(0.6 * height, 6.7),
            clip.height / 2 + swing(0.15 * height, 3.9),
        ),
    )
    return replace(scene, params=params, rotation=rotation, camera=camera, occluded=False)
