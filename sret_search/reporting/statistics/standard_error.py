"""The error of a mean difference over other seeds, and over other images too.

A `Spread` gives the standard error of the mean over any number of seeds. It is the source of
intervals, p-values, and the number of seeds that a difference needs. All of them use Student's t,
with degrees of freedom equal to the number of seeds less one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from sret_search.reporting.statistics.intervals import LEAST, Interval

LEVEL = 0.05
"""The allowed rate of false verdicts."""
_POWER = 0.8
_ADDED = 0.15
"""Difference of the two images that are added to a table of one pair. The value is just large
enough for intervals to cover if few images are wrong (`benchmarks/interval_coverage.py`)."""
_MOST = 10_000
"""Seeds beyond which a difference counts as out of reach."""


class Spread(Protocol):
    """The spread of a mean of differences, as fractions."""

    @property
    def seeds(self) -> int:
        """The number of seeds from which it was estimated."""

    def error(self, seeds: int) -> float:
        """The standard error of the mean over this number of seeds."""


@dataclass(frozen=True)
class OverSeeds:
    """The spread over the seeds of training, for these images.

    Attributes:
        deviation: standard deviation of a seed's difference.
    """

    seeds: int
    deviation: float

    @classmethod
    def from_differences(
        cls, differences: Sequence[float], images: int, pairs: int = 1
    ) -> OverSeeds:
        """The spread of the differences of two or more seeds.

        Args:
            differences: difference of each seed, a mean over `pairs` pairs of candidates.
            images: number of images that each difference is measured on.
        """
        least = math.sqrt(2 / pairs) * LEAST / images
        return cls(len(differences), max(float(np.std(differences, ddof=1)), least))

    def error(self, seeds: int) -> float:
        return self.deviation / math.sqrt(seeds)


@dataclass(frozen=True)
class OverBoth:
    """The spread over the seeds of training and the choice of images. They are crossed: each seed
    is tested on the same images.

    The difference of seed s on image i is mean + seed s + image i + rest, each drawn independently.
    With the mean squares of a two-way table without replication, the variance of the mean over S
    seeds and I images is estimated by (MS_seeds + MS_images - MS_rest) / (S I), the denominator of
    the quasi-F of Clark (1973, The language-as-fixed-effect fallacy), for differences of pairs. It
    is at least the variance over seeds alone, and has at most the same degrees of freedom, since a
    wider claim cannot be more certain. Satterthwaite's (1946) degrees of freedom would be more, but
    they are far too many for components estimated from few seeds.

    Attributes:
        of_seeds, of_images, of_rest: mean squares.
    """

    seeds: int
    images: int
    of_seeds: float
    of_images: float
    of_rest: float

    @classmethod
    def from_differences(cls, differences: np.ndarray, pairs: int = 1) -> OverBoth:
        """The spread of the differences (seeds, images) of two or more seeds, each a mean over
        `pairs` pairs of candidates.

        Two images are added, one that gains a little in every seed and one that loses it, as Bonett
        and Price (2012) do for one seed. Otherwise, if few images differ, they seem to vary less
        than they do.
        """
        seeds, tested = differences.shape
        over_seeds = OverSeeds.from_differences(
            [float(gain) for gain in differences.mean(1)], tested, pairs
        )
        added = np.full((seeds, 1), _ADDED / math.sqrt(pairs))
        table = np.hstack([differences, added, -added])
        images = table.shape[1]
        by_seed, by_image, mean = table.mean(1), table.mean(0), table.mean()
        rest = table - by_seed[:, None] - by_image + mean
        return cls(
            seeds=seeds,
            images=images,
            of_seeds=images * over_seeds.deviation**2,
            of_images=seeds * float(by_image.var(ddof=1)),
            of_rest=float((rest**2).sum()) / ((seeds - 1) * (images - 1)),
        )

    def error(self, seeds: int) -> float:
        # The mean square of images that is expected for this number of seeds.
        component = (self.of_images - self.of_rest) / self.seeds
        of_images = max(self.of_rest + seeds * component, 0.0)
        total = max(self.of_seeds + of_images - self.of_rest, self.of_seeds)
        return math.sqrt(total / (seeds * self.images))


def interval(mean: float, spread: Spread) -> Interval:
    """The interval at 95 %."""
    seeds = spread.seeds
    half = float(special.stdtrit(seeds - 1, 1 - LEVEL / 2)) * spread.error(seeds)
    return mean - half, mean + half


def p_value(mean: float, spread: Spread) -> float:
    """The two-sided p-value of no difference."""
    seeds = spread.seeds
    return float(2 * special.stdtr(seeds - 1, -abs(mean) / spread.error(seeds)))


def p_below(mean: float, spread: Spread, bound: float) -> float:
    """The one-sided p-value of a difference of `bound` or more. If it is small, the difference is
    less than `bound`."""
    seeds = spread.seeds
    return float(special.stdtr(seeds - 1, (mean - bound) / spread.error(seeds)))


def power(difference: float, spread: Spread, seeds: int, level: float = LEVEL) -> float:
    """The probability that a two-sided test at this level finds a true difference with this number
    of seeds (the noncentral t)."""
    dof = seeds - 1
    critical, noncentrality = (
        special.stdtrit(dof, 1 - level / 2),
        abs(difference) / spread.error(seeds),
    )
    # So far out that the noncentral t is NaN, almost no probability lies below.
    below_upper, below_lower = (
        special.nctdtr(dof, noncentrality, critical),
        special.nctdtr(dof, noncentrality, -critical),
    )
    return float(1 - np.nan_to_num(below_upper) + np.nan_to_num(below_lower))


def seeds_needed(difference: float, spread: Spread, level: float = LEVEL) -> int | None:
    """The fewest seeds with which a test at this level finds a true difference in 80 % of studies.
    None if no number does, because there are too few images, or if 10,000 do not."""
    low, high = 1, 2
    while power(difference, spread, high, level) < _POWER:
        low, high = high, 2 * high
        if low > _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(difference, spread, middle, level) >= _POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def detectable(spread: Spread, level: float = LEVEL) -> float:
    """The true difference that a test at this level finds with these seeds in 80 % of studies."""
    error = spread.error(spread.seeds)
    low, high = 0.0, error
    while power(high, spread, spread.seeds, level) < _POWER:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        enough = power(middle, spread, spread.seeds, level) >= _POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values after correction for all of them together (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(order))
    remaining = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(remaining * np.asarray(p_values)[order]), 1)
    return [float(p) for p in corrected]
