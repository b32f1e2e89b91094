"""What one would answer unseen: F_a, from which MARR starts (Eq. 4, SPEC 2), and the mean pose."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from trans3dhead.data.crop import crop_box, crop_transform
from trans3dhead.training.labels import LabelledHeads


def average_face(heads: LabelledHeads, size: int) -> NDArray[np.float32]:
    """Plain mean of the landmarks of all items, [68, 2] (x, y) in [0, 1] of the 10 % crop.

    Landmarks outside the crop count too, and nothing is weighted.

    Args:
        heads: the training items.
        size: side of the crop in pixels; its padding is a whole number of them.
    """
    faces = []
    for item, hw, landmarks in zip(
        heads.dataset.items, heads.image_hw, heads.landmarks, strict=True
    ):
        box = crop_box(item.bbox, (hw[0], hw[1]))
        faces.append(crop_transform(box, size).to_crop(landmarks) / size)
    return np.asarray(np.mean(faces, axis=0), np.float32)


def mean_rotation(heads: LabelledHeads) -> NDArray[np.float64]:
    """The rotation [3, 3] nearest to the mean of all items' (Frobenius): the mean pose.

    Args:
        heads: the training items; [n, 3, 3] model space to image axes.
    """
    return np.asarray(Rotation.from_matrix(heads.rotation).mean().as_matrix())
