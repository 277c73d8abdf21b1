"""The distribution of an axis: choices evenly, ranges evenly or evenly in the logarithm.

A whole number n of a logarithmic range stands for the interval from n - 1/2 to n + 1/2.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.config.space_file import Axis


def draw(axis: Axis, whole: bool, rng: random.Random) -> Any:
    """A random value of an axis.

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
    """The value of an axis below which a share (in [0, 1)) of its random draws lies.

    Args:
        whole: whether the axis takes whole numbers only.
    """
    if axis.choices is not None or (whole and not axis.log):
        every = options(axis)
        return every[int(share * len(every))]
    low, high = _interval(axis, whole)
    # The formula of `draw` has other last bits: a study that goes on must ask for the same.
    value = low * (high / low) ** share if axis.log else low + share * (high - low)
    return _within(axis, whole, value)


def chances(axis: Axis) -> NDArray[np.float64]:
    """How likely each value of an axis that is not continuous is drawn (options,)."""
    every = options(axis)
    if axis.choices is not None or not axis.log:
        return np.full(len(every), 1 / len(every))
    edges = np.log(np.arange(every[0], every[-1] + 2) - 0.5)
    found: NDArray[np.float64] = np.diff(edges) / (edges[-1] - edges[0])
    return found


def options(axis: Axis) -> list[Any] | range:
    """All values of an axis that is not continuous."""
    if axis.choices is not None:
        return axis.choices
    low, high = axis.low, axis.high
    assert isinstance(low, int) and isinstance(high, int), "a continuous axis has no end"
    return range(low, high + 1)


def _interval(axis: Axis, whole: bool) -> tuple[float, float]:
    """The ends of a range, as it is drawn from."""
    assert axis.low is not None and axis.high is not None
    return (axis.low - 0.5, axis.high + 0.5) if whole else (axis.low, axis.high)


def _within(axis: Axis, whole: bool, value: float) -> Any:
    """The value of a range that a point of its interval stands for."""
    assert axis.low is not None and axis.high is not None
    return min(max(round(value) if whole else value, axis.low), axis.high)
