"""Steady heads in video: the One-Euro filter (Casiez, Roussel, Vogel, CHI 2012).

A low-pass whose cutoff rises with speed: slow heads lose their tremble, fast ones are not held
back. Each group of values has one speed and one cutoff, so that a group keeps its shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.rotation import rotation_from_six_d, six_d_from_rotation
from trans3dhead.outputs.prediction import ImageCamera, Prediction
from trans3dhead.reading.tracking import Followed

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class OneEuro:
    """Settings of the filter."""

    rest: float
    """Hz: cutoff of what does not move. It lags by 1 / (2 pi cutoff) seconds."""
    slope: float
    """Hz per unit of speed, a unit a second."""
    speed_cutoff: float = 1.0
    """Hz: cutoff of the speed itself."""


# Units: a head's size is sqrt(w * h) of its box, so a filter does not depend on the resolution.
POINTS = OneEuro(rest=1.0, slope=20.0)
"""Landmarks and the camera's origin, in head sizes; scale as its logarithm."""
ROTATION = OneEuro(rest=1.0, slope=8.0)
"""Six-dimensional rotation; its speed is about radians a second."""
DEFORMATION = OneEuro(rest=0.7, slope=0.5)
"""Shape, expression and jaw, in standard deviations."""


class GroupFilter:
    """The One-Euro filter over a vector, with one cutoff for all of it.

    Args:
        settings: of the filter.
        moving: the entries whose speed sets the cutoff; the others follow.
    """

    def __init__(self, settings: OneEuro, moving: slice = slice(None)) -> None:
        self.cutoff = settings.rest
        """Hz, as the last call used it."""
        self._settings = settings
        self._moving = moving
        self._value: Values | None = None
        self._speed: Values | float = 0.0

    def __call__(self, value: Values, seconds: float) -> Values:
        """The filtered value [n].

        Args:
            value: [n], the raw one.
            seconds: since the last one, above 0.
        """
        if self._value is None:
            self._value = value
            return value
        step = value - self._value
        moved = step[self._moving] / seconds
        self._speed = self._speed + _share(self._settings.speed_cutoff, seconds) * (
            moved - self._speed
        )
        speed = float(np.sqrt(np.mean(np.square(self._speed))))
        self.cutoff = self._settings.rest + self._settings.slope * speed
        self._value = self._value + _share(self.cutoff, seconds) * step
        return self._value


class HeadSmoother:
    """Filters one head of a video, frame after frame.

    Landmarks, deformation, rotation and camera are filtered, each with its own cutoff; vertices
    and pixels of the mesh follow from them. A rotation is filtered as its two column vectors and
    made orthonormal again. All of it is in pixels of the full image, where crops do not matter.
    """

    def __init__(self) -> None:
        self._points = GroupFilter(POINTS)
        self._camera = GroupFilter(POINTS)
        self._rotation = GroupFilter(ROTATION)
        self._shape = GroupFilter(DEFORMATION, LAYOUT_413.deformation)
        self._size = 0.0

    def __call__(self, head: Prediction, seconds: float) -> Prediction:
        """The same head, filtered.

        Args:
            seconds: since the last call's frame, above 0.
        """
        size = self._size = self._size or float(np.sqrt(head.bbox[2] * head.bbox[3]))
        landmarks = head.landmarks
        if landmarks is not None:
            landmarks = self._points(landmarks.ravel() / size, seconds).reshape(-1, 2) * size

        raw = head.rotation.astype(np.float64)
        rotation = rotation_from_six_d(self._rotation(six_d_from_rotation(raw), seconds))

        # Vertices without their rotation are linear in shape and expression: they may be filtered
        # beside the parameters where the head model's basis is not at hand.
        deformation = LAYOUT_413.deformation
        unposed = head.vertices.astype(np.float64) @ raw
        together = self._shape(
            np.concatenate([head.params[deformation].astype(np.float64), unposed.ravel()]), seconds
        )
        vertices = together[deformation.stop :].reshape(-1, 3) @ rotation.T

        camera = head.to_full_image()
        state = np.array([np.log(camera.pixels_per_metre), *(camera.origin / size)])
        scale, *origin = self._camera(state, seconds).tolist()
        camera = ImageCamera(float(np.exp(scale)), np.array(origin) * size)

        params = head.params.copy()
        params[deformation] = together[deformation]
        params[LAYOUT_413.rotation] = six_d_from_rotation(rotation)
        half = head.crop.size / 2  # the inverse of Prediction.to_full_image
        params[LAYOUT_413.scale] = camera.pixels_per_metre * head.crop.scale / half - 1
        params[LAYOUT_413.translation][:2] = head.crop.to_crop(camera.origin) / half - 1
        return replace(
            head,
            landmarks=landmarks,
            params=params,
            rotation=rotation.astype(np.float32),
            vertices=vertices.astype(np.float32),
            projected=camera.pixels(vertices),
        )


class Smoother:
    """A `HeadSmoother` for each track of a video; tracks that ended are forgotten.

    Args:
        interval: seconds between two frames.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._heads: dict[int, HeadSmoother] = {}

    def __call__(self, heads: Sequence[Followed]) -> list[Followed]:
        """The heads of the next frame, filtered."""
        self._heads = {f.track: self._heads.get(f.track, HeadSmoother()) for f in heads}
        return [replace(f, head=self._heads[f.track](f.head, self._interval)) for f in heads]


def _share(cutoff: float, seconds: float) -> float:
    """Weight of a new value in a first-order low-pass: 1 / (1 + 1 / (2 pi cutoff seconds))."""
    turn = 2 * np.pi * cutoff * seconds
    return float(turn / (1 + turn))
