"""The DAD-3DHeads benchmark's file of predictions (SPEC 6): of any model, scored for any method.

{item_id: {"68_landmarks_2d" [68, 2] pixels of the full image, "N_landmarks_3d" [N, 3] the posed
mesh, "7_landmarks_3d" [7, 3] of it, "rotation_matrix" [3, 3]}}. Needs no torch by itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from engines.files import write_whole
from trans3dhead.data.dad3dheads import HeadDataset
from trans3dhead.evaluation import BATCH, CropPredictor, Evaluation, read_crops, summarise, truth_of
from trans3dhead.head.surface import VERTEX_COUNT, HeadSurface
from trans3dhead.metrics import Predicted, not_computable, per_image
from trans3dhead.metrics.images import chamfer_of

LANDMARKS, MESH = "68_landmarks_2d", "N_landmarks_3d"
SEVEN, ROTATION = "7_landmarks_3d", "rotation_matrix"
SHAPES: dict[str, tuple[int | None, int]] = {
    LANDMARKS: (68, 2),
    MESH: (None, 3),
    SEVEN: (7, 3),
    ROTATION: (3, 3),
}
DIGITS = 6
"""Decimals written: micrometres, and far less than a pixel."""
LISTED = 5
"""Items that an error or a count names."""
Entry = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A submission measured on a split."""

    evaluation: Evaluation
    """Of the items that have a prediction."""
    missing: tuple[str, ...]
    """Items of the split without one: counted, never dropped in silence."""
    unknown: tuple[str, ...]
    """Predictions of no item of the split."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return self.evaluation.to_dict() | {
            "missing": list(self.missing),
            "unknown": list(self.unknown),
        }


def write_submission(
    predictor: CropPredictor,
    dataset: HeadDataset,
    head: HeadSurface,
    path: Path,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Predict every item of a split, annotated or not, and write the file.

    Args:
        predictor: a network or an engine.
        dataset: the split.
        head: the mesh; a HeadModel, unless the predictor answers with vertices.
        path: of the JSON file.
        progress: called with the number of items done.

    Raises:
        UserError: an image is missing or broken, or the model gives no landmarks.
    """
    entries = []
    for start in range(0, len(dataset), BATCH):
        chunk = range(start, min(start + BATCH, len(dataset)))
        crops, transforms = read_crops(dataset, chunk, predictor.image_size)
        found = transforms.predicted(predictor.predict(crops), head)
        if found.landmarks is None or found.vertices is None or found.rotation is None:
            raise UserError(
                f"the model answers without {', '.join(not_computable(found).values())}; expected "
                "landmarks, a mesh and a rotation, which a submission needs; use another model"
            )
        seven = head.landmarks7(np.asarray(found.vertices))
        for row, index in enumerate(chunk):
            entry = {
                LANDMARKS: found.landmarks[row],
                MESH: found.vertices[row],
                SEVEN: seven[row],
                ROTATION: found.rotation[row],
            }
            values = {name: np.round(value, DIGITS).tolist() for name, value in entry.items()}
            entries.append(f"{json.dumps(dataset.items[index].item_id)}: {json.dumps(values)}")
        progress(chunk.stop)
    write_whole(path, "{" + ",\n".join(entries) + "}\n")


def read_submission(path: Path) -> dict[str, Entry]:
    """Every item's arrays, of any method.

    Raises:
        UserError: no file, no JSON object, or an item lacks an array or has one of a wrong shape.
    """
    wish = "expected a JSON object of items, as the DAD-3DHeads benchmark takes it"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {wish}; check it") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); {wish}; write it anew") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; {wish}; write it anew")
    faults: list[str] = []
    entries = {name: _entry(name, value, faults) for name, value in content.items()}
    if faults:
        more = f" and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise UserError(f"{path}: {'; '.join(faults[:LISTED])}{more}; {wish}; mend these")
    return entries


def _entry(name: str, value: Any, faults: list[str]) -> Entry:
    entry: Entry = {}
    for key, (rows, columns) in SHAPES.items():
        expected = f"{'N' if rows is None else rows} x {columns} numbers"
        try:
            array = np.asarray(value[key], np.float64)
        except (KeyError, TypeError, ValueError):
            faults.append(f"item {name} has no {key} of {expected}")
            continue
        fits = array.ndim == 2 and array.shape[1] == columns and rows in (None, len(array))
        if not fits or not np.isfinite(array).all():
            what = list(array.shape) if not fits else "numbers that are not finite"
            faults.append(f"item {name} has {what} for {key}, not {expected}")
        entry[key] = array
    return entry


def score(entries: Mapping[str, Entry], dataset: HeadDataset, head: HeadSurface) -> Score:
    """Measure a submission on a split with annotations.

    Z5 needs a mesh of the head model's vertices; Chamfer takes any, with its own seven landmarks.

    Raises:
        UserError: no item of the split has a prediction, or one is degenerate.
    """
    known = {item.item_id: index for index, item in enumerate(dataset.items)}
    found = [name for name in known if name in entries]
    if not found:
        raise UserError(
            f"the submission predicts no item of split {dataset.split}; expected ids such as "
            f"{', '.join(list(known)[:3])}; is it of another split?"
        )
    rows = []
    absent: dict[str, str] = {}
    for name in found:
        entry, truth = entries[name], truth_of(dataset, [known[name]], head)
        ours = len(entry[MESH]) == VERTEX_COUNT
        predicted = Predicted(
            landmarks=entry[LANDMARKS][None],
            vertices=entry[MESH][None] if ours else None,
            rotation=entry[ROTATION][None],
        )
        values = per_image(predicted, truth, head)
        values["chamfer"] = np.array([chamfer_of(entry[MESH], entry[SEVEN], truth, 0, head)])
        if not ours:
            absent = {
                metric: f"the mesh has {len(entry[MESH])} points, not {VERTEX_COUNT}"
                for metric in not_computable(predicted)
                if metric != "chamfer"
            }
        rows.append(values)
    kept = [metric for metric in rows[0] if all(metric in row for row in rows)]
    joined = {metric: np.concatenate([row[metric] for row in rows]) for metric in kept}
    items = [dataset.items[known[name]] for name in found]
    return Score(
        evaluation=summarise(items, joined, absent),
        missing=tuple(name for name in known if name not in entries),
        unknown=tuple(name for name in entries if name not in known),
    )
