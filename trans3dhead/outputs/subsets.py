"""Named vertex subsets: the head model's own, and those of the user's index files."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError
from trans3dhead.head.surface import HeadSurface
from trans3dhead.outputs.prediction import Prediction


def subset_of(prediction: Prediction, name: str) -> NDArray[np.int32]:
    """Vertex indices of a subset; UserError with the names there are where it is unknown."""
    return known_subset({**prediction.surface.subsets, **prediction.subsets}, name)


def known_subset(known: Mapping[str, NDArray[np.int32]], name: str) -> NDArray[np.int32]:
    """One of these vertex subsets; UserError with their names where it is none of them."""
    if name not in known:
        raise UserError(
            f"the vertex subset {name!r} is not known; expected one of "
            f"{', '.join(sorted(known))}; correct the name or give its index file"
        )
    return known[name]


@lru_cache(maxsize=8)
def subset_faces(surface: HeadSurface, name: str) -> NDArray[np.int32]:
    """Triangles [n, 3] all of whose vertices are in a subset of the head model."""
    inside = np.zeros(int(surface.faces.max()) + 1, bool)
    inside[surface.subsets[name]] = True
    return surface.faces[inside[surface.faces].all(axis=1)]
