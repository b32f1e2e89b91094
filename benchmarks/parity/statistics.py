"""How sure a mean or a percentile over images is, and what that says about a margin.

The question is one of equivalence, so the burden lies with the engine: it passes only where the
whole interval is within the margin, and it fails only where the whole interval is beyond it.
Between the two the verdict is "inconclusive", with the number of images that would settle it.

Images are drawn anew (paired: an image keeps its engine and reference values), 4,000 times, from a
fixed seed. The interval is the percentile interval at 95 %, its tails widened for few images as
t widens z (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 5.3): without
that, 8 normal values cover 89 % and not 95 %. Under six images no interval is given: even if all
of them agree in sign, chance does that in more than 5 % of cases (2 / 2^5 = 6 %).

At the margin itself either verdict is wrong in 2.5 % of cases; away from it far less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

CONFIDENCE = 0.95
RESAMPLES = 4000
SEED = 20
MIN_IMAGES = 6
MOST_IMAGES = 1_000_000
"""More images than this are not a number anyone would act on."""

Verdict = Literal["pass", "fail", "inconclusive", "not measured", "reported"]
"""Of a gate; "reported" where it has no margin to be judged by."""
Values = NDArray[np.floating]

_CHUNK = 1 << 22
"""Drawn image numbers held at once, to bound the memory."""


@dataclass(frozen=True)
class Interval:
    """Where the true value lies, at 95 %."""

    low: float
    high: float


class Bootstrap:
    """One set of resamples of n images, shared by everything judged on them."""

    def __init__(self, images: int, *, seed: int = SEED, resamples: int = RESAMPLES) -> None:
        assert images >= MIN_IMAGES, images
        self.images = images
        rng = np.random.default_rng(seed)
        rows = max(1, _CHUNK // images)
        self._counts = [
            _draw_counts(rng, min(rows, resamples - start), images)
            for start in range(0, resamples, rows)
        ]
        # Widened tails: alpha' = Phi(sqrt(n / (n - 1)) t_{alpha, n - 1})
        t = stdtrit(images - 1, (1 - CONFIDENCE) / 2)
        self.tail = float(ndtr(np.sqrt(images / (images - 1)) * t))

    def means(self, values: Values) -> Values:
        """The mean of each resample [resamples] of finite values [n]."""
        assert values.shape == (self.images,) and np.isfinite(values).all()
        column = values.astype(np.float64)
        return np.concatenate([counts @ column for counts in self._counts]) / self.images

    def of_mean(self, values: Values) -> Interval:
        """The interval of the mean of values [n]."""
        low, high = np.quantile(self.means(values), [self.tail, 1 - self.tail])
        return Interval(float(low), float(high))

    def of_ratio(self, above: Values, below: Values) -> Interval:
        """The interval of the mean of some values over that of others, both [n], drawn in pairs."""
        ratios = self.means(above) / self.means(below)
        low, high = np.quantile(ratios, [self.tail, 1 - self.tail])
        return Interval(float(low), float(high))

    def of_percentile(self, values: Values, share: float) -> Interval:
        """The interval of the percentile over all points of [n, points], images drawn whole.

        A resample's percentile is at most t exactly where its mean share of points above t is at
        most 1 - share; so the ends are found by bisection over the values, each step one product.
        """
        pooled = np.sort(values, axis=None)

        def chance_below(threshold: float) -> float:
            above = (values > threshold).mean(axis=1)
            return float(np.mean(self.means(above) <= 1 - share + 1e-12))

        def first_with(chance: float) -> float:
            low, high = 0, len(pooled) - 1
            while low < high:
                middle = (low + high) // 2
                if chance_below(pooled[middle]) >= chance:
                    high = middle
                else:
                    low = middle + 1
            return float(pooled[low])

        return Interval(first_with(self.tail), first_with(1 - self.tail))


def ratio_of_means(above: Values, below: Values) -> tuple[float, Interval | None]:
    """The mean of some values over that of others, both [n], and its interval, drawn in pairs; None
    where n is too small for one."""
    enough = len(above) >= MIN_IMAGES
    interval = Bootstrap(len(above)).of_ratio(above, below) if enough else None
    return float(above.mean() / below.mean()), interval


def stored_interval(values: Mapping[str, float] | None) -> Interval | None:
    """As it was before it became JSON."""
    return None if values is None else Interval(values["low"], values["high"])


def percentile(values: Values, share: float) -> float:
    """The smallest value that at most 1 - share of all points exceed."""
    pooled = np.sort(values, axis=None)
    return float(pooled[max(0, int(np.ceil(share * len(pooled) - 1e-9)) - 1)])


def judge(interval: Interval | None, margin: float) -> Verdict:
    """The equivalence verdict: is the quantity within [-margin, margin]?

    Args:
        interval: None where there are too few images for one.
        margin: at least 0.
    """
    if interval is None:
        return "inconclusive"
    if -margin <= interval.low and interval.high <= margin:
        return "pass"
    if interval.low > margin or interval.high < -margin:
        return "fail"
    return "inconclusive"


def images_needed(
    value: float, interval: Interval | None, margin: float, images: int
) -> int | None:
    """About how many images would settle an inconclusive verdict; None where no number would.

    An interval shrinks with the square root of the images; settled means that it no longer holds
    either end of the margin. None where the value lies on the margin itself.
    """
    if interval is None:
        return MIN_IMAGES
    shrink = 1.0
    for edge in (-margin, margin):
        reach = (interval.high if edge > value else interval.low) - value
        room = abs(edge - value)
        if room == 0 and reach != 0:
            return None
        if abs(reach) > room:
            shrink = max(shrink, abs(reach) / room)
    needed = int(np.ceil(images * shrink**2))
    return needed if needed <= MOST_IMAGES else None


def blind_share(images: int) -> float:
    """A fault on a smaller share of images than this has more than 5 % chance to go unseen."""
    return float(1 - (1 - CONFIDENCE) ** (1 / images))


def _draw_counts(rng: np.random.Generator, rows: int, images: int) -> NDArray[np.float32]:
    """How often each image was drawn: [rows, images]."""
    drawn = rng.integers(0, images, (rows, images))
    drawn += np.arange(rows)[:, None] * images
    counts = np.bincount(drawn.ravel(), minlength=rows * images)
    return counts.reshape(rows, images).astype(np.float32)
