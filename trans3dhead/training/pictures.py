"""What a network sees in a few heads, as one picture to look at while it learns.

n heads, S the crop's side in pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.crop import CropTransform
from trans3dhead.head.layout import to_full
from trans3dhead.head.model import HeadModel, posed_vertices, project
from trans3dhead.network.model import Trans3DHead
from trans3dhead.outputs.prediction import Prediction
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.predictor import NetworkPredictor
from trans3dhead.training.samples import CropSamples

SHOWN = 12
"""Heads in a picture, the first of the split."""
COLUMNS = 4
CELL = 256
"""Pixels of a head's side in the picture."""


def draw_heads(
    network: Trans3DHead, heads: LabelledHeads, size: int, head: HeadModel
) -> NDArray[np.uint8]:
    """The first heads of a split with mesh, pose and landmarks as the network answers.

    Args:
        network: on any device.
        heads: the split.
        size: S.
        head: the head model of both.

    Returns:
        [H, W, 3] uint8 RGB: rows of `COLUMNS` heads; places without a head are black.
    """
    samples = CropSamples(heads, size, None)
    crops = np.stack([samples[0, item].image for item in range(min(SHOWN, len(heads)))])
    answers = NetworkPredictor(network, size).predict(crops)
    vertices, params = posed_vertices(answers, head), to_full(answers["params"])
    projected = project(vertices, params, size)
    cell = CropTransform(0.0, 0.0, size / CELL, 0.0, 0.0, size)
    rows = -(-len(crops) // COLUMNS)
    picture = np.zeros((rows, COLUMNS, CELL, CELL, 3), np.uint8)
    for index, crop in enumerate(crops):
        shown = Prediction(
            bbox=(0.0, 0.0, float(CELL), float(CELL)),
            crop=cell,
            landmarks=cell.to_full(answers["landmarks"][index]) if "landmarks" in answers else None,
            params=params[index],
            rotation=answers["rotation"][index],
            vertices=vertices[index],
            projected=cell.to_full(projected[index]),
            surface=head,
        )
        large = cv2.resize(crop, (CELL, CELL), interpolation=cv2.INTER_LINEAR)
        picture[index // COLUMNS, index % COLUMNS] = shown.draw(np.asarray(large, np.uint8))
    # [rows, columns, y, x, 3] -> [rows * y, columns * x, 3]
    return picture.swapaxes(1, 2).reshape(rows * CELL, COLUMNS * CELL, 3)
