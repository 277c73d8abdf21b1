"""Confidence intervals at 95 %, as fractions.

With several seeds they are for the mean over all possible seeds, on these images. With one seed
they are for these weights on all possible images. `benchmarks/interval_coverage.py` simulates their
coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from sret_search import wilson

Interval = tuple[float, float]
LEAST = 0.25
"""The smallest standard deviation over the seeds of a candidate, in images. A few seeds with equal
numbers of correct images would otherwise seem certain. With a larger value, intervals near 100 %
would be too wide."""


def proportion(fraction: float, images: int, chosen_from: int = 1) -> Interval:
    """The interval of an accuracy over images (Wilson's score interval).

    Args:
        chosen_from: number of trainings from which this was chosen as the best. The lower end has the
            level of Bonferroni's correction for this number.
    """
    low = wilson.end(fraction, images, float(special.ndtri(0.025 / chosen_from)))
    return max(0.0, low), min(1.0, wilson.end(fraction, images, wilson.Z))


def accuracy(values: Sequence[float], images: int) -> Interval:
    """The interval of an accuracy: over seeds, or over images with one seed."""
    if len(values) == 1:
        return proportion(values[0], images)
    low, high = mean(values, LEAST / images)
    return max(low, 0.0), min(high, 1.0)


def difference(values: Sequence[float], images: int) -> Interval:
    """The interval of the difference of two accuracies, over two or more seeds. Both accuracies of
    a seed are on the same images."""
    return mean(values, math.sqrt(2) * LEAST / images)


def paired_proportions(first: np.ndarray, second: np.ndarray) -> Interval:
    """The interval of the difference of two accuracies on the same images (Bonett and Price, 2012).

    Args:
        first, second: whether each image was classified correctly.
    """
    images = len(first)
    gained = (np.sum(first & ~second) + 1) / (images + 2)
    lost = (np.sum(~first & second) + 1) / (images + 2)
    half = wilson.Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (images + 2))
    return float(gained - lost - half), float(gained - lost + half)


def mean(values: Sequence[float], least: float = 0.0) -> Interval:
    """The interval of the mean over two or more seeds (Student's t). Their standard deviation is
    set to `least` at least."""
    n = len(values)
    deviation = max(float(np.std(values, ddof=1)), least)
    half = float(special.stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    centre = float(np.mean(values))
    return centre - half, centre + half
