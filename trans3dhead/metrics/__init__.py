"""The DAD-3DHeads benchmark's metrics (SPEC 6): numpy and scipy, float64, one value an image.

`table` says what is measured and what the papers reached, `images` measures a batch of images,
the other modules hold one metric each.
"""

from trans3dhead.metrics.images import GroundTruth, Predicted, not_computable, per_image
from trans3dhead.metrics.table import METRICS, PUBLISHED, Metric, PublishedRow

__all__ = [
    "METRICS",
    "PUBLISHED",
    "GroundTruth",
    "Metric",
    "Predicted",
    "PublishedRow",
    "not_computable",
    "per_image",
]
