"""What the report draws: the images and the vertices that the engine moves most."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.parity.outputs import Array, Mesh
from benchmarks.parity.quantities import Quantity, distances
from benchmarks.parity.results import Evidence
from engines.bundle import Reference

WORST = 5
"""Images drawn side by side."""
RANKED_BY = ("landmarks/movement", "vertices/movement", "rotation/movement")
"""What the worst images are chosen by: the first of these that was measured."""


def gather(
    reference: Reference,
    answers: Mapping[str, Array],
    expected: Mapping[str, Array],
    moved: Sequence[Quantity],
    mesh: Mesh,
) -> Evidence:
    """Pick the arrays.

    Args:
        answers, expected: outputs of engine and reference.
        moved: how far each output moved; empty where it could not be measured, and then no image
            is drawn.
    """
    largest = {quantity.full_name: quantity.values.max(axis=1) for quantity in moved}
    ranking = next((largest[name] for name in RANKED_BY if name in largest), None)
    worst = np.argsort(-ranking, kind="stable")[:WORST] if ranking is not None else np.arange(0)
    points = None
    if "landmarks" in answers and len(worst):
        points = expected["landmarks"][worst], answers["landmarks"][worst]
    head, error = None, None
    if any(quantity.output == "vertices" for quantity in moved):
        # v = R^T posed, as rows: posed @ R
        head = (expected["vertices"] @ expected["rotation"]).mean(axis=0, dtype=np.float64)
        error = 1000 * distances(answers["vertices"], expected["vertices"]).mean(axis=0)
    return Evidence(
        item_ids=tuple(map(str, reference.item_ids)),
        movements=largest,
        units={quantity.full_name: quantity.unit for quantity in moved},
        worst=tuple(map(int, worst)),
        crops=reference.images[worst],
        points=points,
        mesh=head,
        faces=mesh.surface.faces,
        vertex_error=error,
    )
