"""AFLW2000-3D on disk: photos with a `.mat` each, whose angles are the truth (SPEC 6)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from engines.errors import UserError, one_line
from trans3dhead.data.crop import BBox

LIMIT = 99.0
"""Degrees: an image with an angle beyond is left out, which leaves 1,969 of 2,000."""
GROWTH = (0.19, 0.62, 0.19, 0.06)
"""Left, top, right, bottom: by what shares of their longer side the landmarks' extent grows to a
box around the head, in [choice] means over rendered heads of the built-in model, whose boxes are
drawn as DAD-3DHeads draws them. No box ships with the data, and the result depends on it."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One image of AFLW2000-3D."""

    name: str
    image_path: Path
    degrees: NDArray[np.float64]
    """[3] pitch, yaw, roll."""
    bbox: BBox
    """Around the head, pixels of the image."""

    @property
    def counted(self) -> bool:
        """Whether its three angles are within `LIMIT`."""
        return bool((np.abs(self.degrees) <= LIMIT).all())


def read_aflw2000(folder: Path) -> list[Photo]:
    """Every photo of a folder, by name.

    Raises:
        UserError: the folder holds no `.mat`, or some are broken; all of those are named.
    """
    files = sorted(folder.glob("*.mat"))
    if not files:
        raise UserError(
            f"{folder} holds no .mat file; expected AFLW2000-3D's images with a .mat each; check "
            "the path"
        )
    photos, faults = [], []
    for file in files:
        try:
            photos.append(_photo(file))
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError(f"{'; '.join(faults)}; copy these anew")
    return photos


def _photo(file: Path) -> Photo:
    try:
        content = loadmat(file)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise UserError(f"{file.name} is no MATLAB file ({one_line(error):.80})") from None
    missing = [name for name in ("Pose_Para", "pt3d_68") if name not in content]
    if missing:
        raise UserError(f"{file.name} has no {', '.join(missing)}")
    pose, points = np.ravel(content["Pose_Para"]), np.asarray(content["pt3d_68"])
    if len(pose) < 3 or points.shape != (3, 68):
        raise UserError(
            f"{file.name} has Pose_Para of {len(pose)} and pt3d_68 of {list(points.shape)}, not 3 "
            "or more and [3, 68]"
        )
    image = file.with_suffix(".jpg")
    if not image.is_file():
        raise UserError(f"{file.name} has no {image.name} beside it")
    return Photo(
        name=file.stem,
        image_path=image,
        degrees=np.degrees(pose[:3].astype(np.float64)),
        bbox=head_box(points[:2].T.astype(np.float64)),
    )


def head_box(points: NDArray[np.float64]) -> BBox:
    """A box (x, y, w, h) around the head of landmarks [68, 2], grown by `GROWTH`."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    side = max(x1 - x0, y1 - y0)
    left, top, right, bottom = (share * side for share in GROWTH)
    return (x0 - left, y0 - top, x1 - x0 + left + right, y1 - y0 + top + bottom)
