"""Confidence intervals at 95 %, in fractions.

Of several seeds they are for the mean over all seeds that might have been, on these images; of one
seed, for these weights on all images that might have been. `benchmarks/interval_coverage.py`
simulates how often they hold it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from sret_search import wilson

Interval = tuple[float, float]
LEAST = 0.25
"""Images: seeds of one accuracy are not taken to spread less. A few seeds that are right on as many
images each would otherwise leave no doubt; with more than this, intervals near 100 % are too wide."""


def proportion(fraction: float, images: int, among: int = 1) -> Interval:
    """The interval of one accuracy over images (Wilson's score interval).

    Args:
        among: trainings that it was chosen from as the best; for each of so many the lower end has
            the level that Bonferroni's correction asks for.
    """
    low = wilson.end(fraction, images, float(special.ndtri(0.025 / among)))
    return max(0.0, low), min(1.0, wilson.end(fraction, images, wilson.Z))


def accuracy(values: Sequence[float], images: int) -> Interval:
    """The interval of an accuracy: over seeds, or over images where there is one seed."""
    if len(values) == 1:
        return proportion(values[0], images)
    low, high = mean(values, LEAST / images)
    return max(low, 0.0), min(high, 1.0)


def difference(values: Sequence[float], images: int) -> Interval:
    """The interval of the difference of two accuracies, of two or more seeds, each pair on the same images."""
    return mean(values, math.sqrt(2) * LEAST / images)


def paired_proportions(first: np.ndarray, second: np.ndarray) -> Interval:
    """The interval of the difference of two accuracies on the same images (Bonett and Price, 2012).

    Args:
        first, second: whether each image was classified right.
    """
    images = len(first)
    gained = (np.sum(first & ~second) + 1) / (images + 2)
    lost = (np.sum(~first & second) + 1) / (images + 2)
    half = wilson.Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (images + 2))
    return float(gained - lost - half), float(gained - lost + half)


def mean(values: Sequence[float], least: float = 0.0) -> Interval:
    """The interval of the mean of two or more seeds (Student's t), whose standard deviation is no less than
    `least`."""
    n = len(values)
    deviation = max(float(np.std(values, ddof=1)), least)
    half = float(special.stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    centre = float(np.mean(values))
    return centre - half, centre + half
