"""How good a network is on a split: the two metrics that need no mesh, and what they must beat.

`trans3dhead evaluate` measures all of them. n items of the split, S the crop's side in pixels.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trans3dhead.data.crop import crop_box, crop_transform
from trans3dhead.metrics.landmarks import nme
from trans3dhead.metrics.pose import rotation_distance
from trans3dhead.network.model import Trans3DHead
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.predictor import NetworkPredictor
from trans3dhead.training.samples import CropSamples, evaluation_batches

BATCH = 32


def validate(
    network: Trans3DHead, heads: LabelledHeads, size: int, *, workers: int
) -> dict[str, float]:
    """Means over a split: "nme" (absent for single-task networks) and "pose_error" (SPEC 6).

    Args:
        network: on any device.
        heads: the split.
        size: S.
        workers: processes that make crops; 0 makes them in this one.
    """
    predictor = NetworkPredictor(network, size)
    answers: dict[str, list[NDArray[np.float32]]] = {}
    for batch in evaluation_batches(CropSamples(heads, size, None), batch=BATCH, workers=workers):
        for name, answer in predictor.predict(batch.image.numpy()).items():
            answers.setdefault(name, []).append(answer)
    results = {"pose_error": _mean_pose_error(np.concatenate(answers["rotation"]), heads)}
    if "landmarks" in answers:
        results["nme"] = _mean_nme(np.concatenate(answers["landmarks"]), heads, size)
    return results


def deciding(results: Mapping[str, float]) -> float:
    """What chooses the best of several networks, less is better: NME, or else the pose error."""
    return results.get("nme", results["pose_error"])


def constant_answers(
    heads: LabelledHeads,
    face: NDArray[np.floating],
    rotation: NDArray[np.floating],
    size: int,
) -> dict[str, float]:
    """The same metrics of one who looks at no image: always one face, always one pose.

    Args:
        heads: the split.
        face: [68, 2] F_a of the training items, in [0, 1] of the crop.
        rotation: [3, 3] their mean, model space to image axes.
        size: S.
    """
    faces = np.broadcast_to(face * size, (len(heads), *face.shape))
    rotations = np.broadcast_to(rotation, (len(heads), 3, 3))
    return {
        "average_face_nme": _mean_nme(faces, heads, size),
        "mean_pose_error": _mean_pose_error(rotations, heads),
    }


def _mean_nme(landmarks: NDArray[np.floating], heads: LabelledHeads, size: int) -> float:
    """Of [n, 68, 2] in pixels of the 10 % crop."""
    values = []
    for index, item in enumerate(heads.dataset.items):
        height, width = heads.image_hw[index]
        transform = crop_transform(crop_box(item.bbox, (height, width)), size)
        found = transform.to_full(landmarks[index])
        values.append(nme(found, heads.landmarks[index], np.array(item.bbox)))
    return float(np.mean(values))


def _mean_pose_error(rotations: NDArray[np.floating], heads: LabelledHeads) -> float:
    """Of [n, 3, 3] model space to image axes."""
    pairs = zip(rotations, heads.rotation, strict=True)
    return float(np.mean([rotation_distance(found, true) for found, true in pairs]))
