"""Wilson's score interval of a fraction."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""The quantile of the normal distribution for the upper end of an interval at 95 %."""


def end(fraction: float, number: int, z: float) -> float:
    """An end of the interval.

    Args:
        fraction: share of the successes, in [0, 1].
        number: number of observations.
        z: quantile of the normal distribution. A negative quantile gives the lower end.
    """
    centre = fraction + z**2 / (2 * number)
    spread = fraction * (1 - fraction) / number + z**2 / (4 * number**2)
    return (centre + z * math.sqrt(spread)) / (1 + z**2 / number)
