"""Is an image answered alike whatever stands beside it? Engines have been wrong at batch > 1 alone.

Each of a few images is answered alone, then in batches of the optimum, of one less (as a ragged
last batch is) and of the largest size of every profile, with the order turned round, and once more
the same; every answer is held against the one given alone. An engine of one fixed size answers an
image "alone" in a batch of its own copies.

k probes, S side of the crop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.parity.outputs import Array, Outputs
from benchmarks.parity.quantities import Quantity, movements
from engines.batching import size_for
from engines.manifest import BatchProfile
from engines.runtime import Engine

PROBES = 8
"""Images answered alone: the first ones and the last one, which a ragged batch holds."""


@dataclass(frozen=True, kw_only=True)
class BatchFacts:
    """What was tried."""

    images: int
    """Answered alone."""
    sizes: tuple[int, ...]
    """Batch sizes at which they were answered together."""
    repeats_exactly: bool
    """Whether the same batch gave the same bits twice."""
    not_finite: dict[str, int]
    """Output to the batch size at which it held NaN or infinity."""


def compare_batches(
    engine: Engine, images: Array, answers: Mapping[str, Array], crop_size: int
) -> tuple[list[Quantity], BatchFacts]:
    """How far answers move between batches.

    Args:
        images: [n, S, S, 3] uint8, as they were answered in `answers`.
        answers: finite outputs by name [n, ...]; those that are no outputs of the graph count not.

    Returns:
        Movements [every answer given to a probe in company, points] of the outputs that stayed
        finite, and what was tried.
    """
    profiles = engine.manifest.profiles
    chosen = np.unique(np.r_[: min(len(images), PROBES - 1), len(images) - 1])
    probes = images[chosen]  # [k, S, S, 3]
    alone = _stack(
        [
            engine.infer({"image": np.repeat(probe[None], size_for(1, profiles), axis=0)})
            for probe in probes
        ],
        first_only=True,
    )
    company = [{name: answers[name][chosen] for name in alone}]
    rows = [np.arange(len(probes))]
    sizes = sizes_of(profiles)
    for size in sizes:
        for order in (np.resize(rows[0], size), np.resize(rows[0][::-1], size)):
            company.append(engine.infer({"image": probes[order]}))
            rows.append(order)
    again = engine.infer({"image": probes[rows[-1]]})
    company.append(again)
    rows.append(rows[-1])
    exact = all(np.array_equal(again[name], company[-2][name], equal_nan=True) for name in again)
    not_finite = {
        name: len(given[name])
        for given in company
        for name in alone
        if not np.isfinite(given[name]).all() or not np.isfinite(alone[name]).all()
    }
    together, expected = _stack(company), {n: v[np.concatenate(rows)] for n, v in alone.items()}
    for name in not_finite:
        del together[name], expected[name]
    facts = BatchFacts(
        images=len(probes), sizes=sizes, repeats_exactly=exact, not_finite=not_finite
    )
    return movements(together, expected, crop_size), facts


def sizes_of(profiles: tuple[BatchProfile, ...]) -> tuple[int, ...]:
    """The batch sizes at which images are answered in company."""
    wanted = {(p, size) for p in profiles for size in (p.opt - 1, p.opt, p.max)}
    return tuple(sorted({size for p, size in wanted if size >= p.min}))


def _stack(parts: list[Outputs], *, first_only: bool = False) -> Outputs:
    """Outputs one after the other; of each part the first row alone where that is wanted."""
    rows = slice(1) if first_only else slice(None)
    return {name: np.concatenate([part[name][rows] for part in parts]) for name in parts[0]}
