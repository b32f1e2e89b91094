"""Do the two branches of the network say the same of a head?

The landmark branch reads points, the 3D branch a mesh whose landmarks can be compared with them.
Where the crop is tight or shows no head, the 3D branch fails first, and the two part.
"""

import numpy as np

from trans3dhead.data.crop import BBox
from trans3dhead.outputs.prediction import Prediction

DISAGREEMENT_LIMIT = 10.0
"""Per cent of sqrt(w * h) of the head's box, mean over the 68 landmarks. On 100 held-out rendered
heads the demo's network has 4.0 in the median and 9.0 at the 99th percentile in good boxes; on
blurred noise it passes the limit in about one of three."""


def disagreement(head: Prediction) -> float | None:
    """Mean distance of the 68 landmarks to the mesh's, in per cent of sqrt(w * h) of the box.

    None for a network that has one branch.
    """
    if head.landmarks is None:
        return None
    apart = np.linalg.norm(head.landmarks - head.mesh_landmarks, axis=1).mean()
    return float(100 * apart / np.sqrt(head.bbox[2] * head.bbox[3]))


def in_doubt(head: Prediction, limit: float) -> bool:
    """Whether the branches are further apart than `limit` per cent, or the answer is not finite."""
    if not np.isfinite(head.projected).all():
        return True
    apart = disagreement(head)
    return apart is not None and not apart <= limit


def mesh_box(head: Prediction) -> BBox:
    """(x, y, w, h) around the projected "head" vertices, as boxes are annotated (SPEC 5)."""
    points = head.projected[head.surface.subsets["head"]]
    (x, y), (w, h) = points.min(axis=0).tolist(), np.ptp(points, axis=0).tolist()
    return x, y, w, h
