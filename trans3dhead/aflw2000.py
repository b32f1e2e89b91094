"""The mean absolute error of pitch, yaw and roll on AFLW2000-3D. Needs no torch by itself."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engines.errors import UserError
from trans3dhead.data.aflw2000 import Photo
from trans3dhead.data.crop import crop_box, crop_image
from trans3dhead.data.images import read_rgb
from trans3dhead.evaluation import BATCH, CropPredictor
from trans3dhead.head.rotation import euler_degrees
from trans3dhead.metrics.angles import angle_errors

PUBLISHED = {
    "Trans3DHead": {"mean": 3.38, "pitch": 4.39, "yaw": 2.91, "roll": 2.84},
    "DAD-3DNet": {"mean": 3.66},
    "SynergyNet": {"mean": 3.35},
}
"""Method to what its paper prints (SPEC 7)."""


@dataclass(frozen=True, kw_only=True)
class PoseErrors:
    """Means over the images whose angles count."""

    images: int
    left_out: tuple[str, ...]
    """Names of those with an angle beyond the limit."""
    mean: float
    """Of the three below."""
    pitch: float
    yaw: float
    roll: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def evaluate_aflw2000(
    predictor: CropPredictor,
    photos: Sequence[Photo],
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> PoseErrors:
    """Measure a predictor's rotations.

    Args:
        predictor: a network or an engine.
        photos: of `read_aflw2000`.
        progress: called with the number of images done.

    Raises:
        UserError: an image is broken, or none counts.
    """
    counted = [photo for photo in photos if photo.counted]
    if not counted:
        raise UserError(
            f"{len(photos)} images came, all with an angle beyond the limit; expected AFLW2000-3D"
        )
    errors = []
    for start in range(0, len(counted), BATCH):
        chunk = counted[start : start + BATCH]
        crops = []
        for photo in chunk:
            image = read_rgb(photo.image_path)
            box = crop_box(photo.bbox, image.shape[:2])
            crops.append(crop_image(image, box, predictor.image_size)[0])
        rotation = np.asarray(predictor.predict(np.stack(crops))["rotation"], np.float64)
        truth = np.stack([photo.degrees for photo in chunk])
        errors.append(angle_errors(euler_degrees(rotation), truth))
        progress(start + len(chunk))
    pitch, yaw, roll = np.concatenate(errors).mean(axis=0).tolist()
    return PoseErrors(
        images=len(counted),
        left_out=tuple(photo.name for photo in photos if not photo.counted),
        mean=(pitch + yaw + roll) / 3,
        pitch=pitch,
        yaw=yaw,
        roll=roll,
    )
