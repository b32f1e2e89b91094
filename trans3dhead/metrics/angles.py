"""Head pose in degrees, as papers on AFLW2000-3D compare it (SPEC 6)."""

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.rotation import wrap_degrees


def angle_errors(degrees: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Absolute errors [n, 3] of pitch, yaw and roll, differences wrapped to within 180.

    The same rotation has two triples: (p, y, r) and (p + 180, 180 - y, r + 180). A label whose yaw
    is beyond 90 is compared with the one nearer to it.

    Args:
        degrees: [n, 3] predicted, yaw within 90.
        truth: [n, 3].
    """
    given = np.asarray(degrees, np.float64)
    twin = np.stack([given[:, 0] + 180, 180 - given[:, 1], given[:, 2] + 180], axis=1)
    errors, others = (np.abs(wrap_degrees(triple - truth)) for triple in (given, twin))
    beyond = np.abs(truth[:, 1]) > 90
    better = beyond & (others.sum(axis=1) < errors.sum(axis=1))
    return np.where(better[:, None], others, errors)
