"""Distribution of an axis: uniform over choices, uniform or log-uniform over ranges.

A whole number n of a logarithmic range represents the interval from n - 1/2 to n + 1/2.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.config.space_file import Axis


def draw(axis: Axis, whole: bool, rng: random.Random) -> Any:
    """Draw a random value of an axis.

    Args:
        whole: whether the axis takes whole numbers only.
    """
    if axis.choices is not None or (whole and not axis.log):
        return rng.choice(options(axis))
    low, high = _interval(axis, whole)
    if not axis.log:
        return rng.uniform(low, high)
    return _within(axis, whole, math.exp(rng.uniform(math.log(low), math.log(high))))


def at(axis: Axis, whole: bool, share: float) -> Any:
    """Quantile of the distribution of an axis.

    Args:
        whole: whether the axis takes whole numbers only.
        share: share of the random draws below the value, in [0, 1).
    """
    if axis.choices is not None or (whole and not axis.log):
        every = options(axis)
        return every[int(share * len(every))]
    low, high = _interval(axis, whole)
    # The formula of `draw` gives other last bits. A study that continues must get the same values.
    value = low * (high / low) ** share if axis.log else low + share * (high - low)
    return _within(axis, whole, value)


def chances(axis: Axis) -> NDArray[np.float64]:
    """Probability of each value of an axis that is not continuous (options,)."""
    every = options(axis)
    if axis.choices is not None or not axis.log:
        return np.full(len(every), 1 / len(every))
    edges = np.log(np.arange(every[0], every[-1] + 2) - 0.5)
    shares: NDArray[np.float64] = np.diff(edges) / (edges[-1] - edges[0])
    return shares


def options(axis: Axis) -> list[Any] | range:
    """All values of an axis that is not continuous."""
    if axis.choices is not None:
        return axis.choices
    low, high = axis.low, axis.high
    assert isinstance(low, int) and isinstance(high, int), "a continuous axis has no end"
    return range(low, high + 1)


def _interval(axis: Axis, whole: bool) -> tuple[float, float]:
    """Ends of the interval from which a range is drawn."""
    assert axis.low is not None and axis.high is not None
    return (axis.low - 0.5, axis.high + 0.5) if whole else (axis.low, axis.high)


def _within(axis: Axis, whole: bool, value: float) -> Any:
    """Value of a range at a point of its interval."""
    assert axis.low is not None and axis.high is not None
    return min(max(round(value) if whole else value, axis.low), axis.high)
