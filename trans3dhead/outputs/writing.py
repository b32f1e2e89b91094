"""Heads of one photo, drawn on it and written beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.files import write_whole
from trans3dhead.outputs.files import png_bytes
from trans3dhead.outputs.kinds import chosen_kinds
from trans3dhead.outputs.prediction import Prediction

Image = NDArray[np.uint8]
DRAWN_SUFFIX = "-drawn.png"


def draw_outputs(kinds: Sequence[str], image: Image, predictions: Sequence[Prediction]) -> Image:
    """Every kind that can be seen, over one another in their order, for every head.

    Args:
        kinds: keys of `OUTPUT_KINDS`, or `dense:SUBSET`; those that cannot be seen draw nothing.
        image: [H, W, 3] uint8 RGB, the one the heads were found in.

    Returns:
        A new image of the same size.
    """
    drawn = image.copy()
    for kind in chosen_kinds(kinds):
        for prediction in predictions:
            if kind.paint is not None:
                drawn = kind.paint(drawn, prediction, kind.subset)
    return drawn


def write_outputs(
    kinds: Sequence[str], image: Image, predictions: Sequence[Prediction], stem: Path | str
) -> list[Path]:
    """Write the outputs of one photo, each file whole.

    STEM-drawn.png holds the kinds that are only to be seen, all on one image; the other kinds
    have files of their own for each head (STEM.obj, STEM-depth.png and so on; STEM-0.obj,
    STEM-1.obj where the photo has several heads).

    Args:
        kinds: keys of `OUTPUT_KINDS`, or `dense:SUBSET`.
        image: [H, W, 3] uint8 RGB, the one the heads were found in.
        stem: the files' folder and the beginning of their names.

    Returns:
        The files, in the order in which they were written.
    """
    written, stem = [], Path(stem)
    drawn = [name for name, kind in zip(kinds, chosen_kinds(kinds), strict=True) if not kind.encode]
    if drawn:
        written.append(stem.with_name(stem.name + DRAWN_SUFFIX))
        write_whole(written[-1], png_bytes(draw_outputs(drawn, image, predictions)))
    for index, prediction in enumerate(predictions):
        beginning = stem.name if len(predictions) == 1 else f"{stem.name}-{index}"
        for kind in chosen_kinds(kinds):
            files = {} if kind.encode is None else kind.encode(prediction, image.shape[:2])
            for ending, data in files.items():
                written.append(stem.with_name(beginning + ending))
                write_whole(written[-1], data)
    return written
