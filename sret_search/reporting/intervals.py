"""Confidence intervals at 95 %, in fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

Interval = tuple[float, float]
_Z = float(special.ndtri(0.975))


def proportion(fraction: float, images: int) -> Interval:
    """Of one accuracy over images (Wilson's score interval)."""
    centre = (fraction + _Z**2 / (2 * images)) / (1 + _Z**2 / images)
    spread = fraction * (1 - fraction) / images + _Z**2 / (4 * images**2)
    half = _Z / (1 + _Z**2 / images) * math.sqrt(spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def accuracy(values: Sequence[float], images: int) -> Interval:
    """Of an accuracy: over seeds, or over images where there is one seed."""
    if len(values) == 1:
        return proportion(values[0], images)
    low, high = mean(values)
    return max(low, 0.0), min(high, 1.0)


def paired_proportions(first: np.ndarray, second: np.ndarray) -> Interval:
    """Of the difference of two accuracies on the same images (Bonett and Price, 2012).

    Args:
        first, second: whether each image was classified right.
    """
    images = len(first)
    gained = (np.sum(first & ~second) + 1) / (images + 2)
    lost = (np.sum(~first & second) + 1) / (images + 2)
    half = _Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (images + 2))
    return float(gained - lost - half), float(gained - lost + half)


def mean(values: Sequence[float]) -> Interval:
    """Of the mean of two or more seeds (Student's t)."""
    n = len(values)
    half = float(special.stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    centre = float(np.mean(values))
    return centre - half, centre + half
