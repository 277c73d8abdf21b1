"""Transforms from the log odds of a model to the learnt objective, with its uncertainty."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import expit, logit

from sret_search.search.samplers.frontier.gp import Numbers
from sret_search.search.samplers.frontier.targets import Known, Line, log_odds

_SPREAD = 0.2
"""Standard deviation of accuracies around their line, in log odds, before any result."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Merit(Protocol):
    """A quantity to maximise, as a function of normally distributed log odds.

    Attributes:
        floor: its value at the reference point.
    """

    floor: float

    def of(self, mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation for candidates that have no results."""
        ...

    def of_known(self, known: Known, mean: Numbers) -> Numbers:
        """Mean for candidates that have results."""
        ...


class Loss:
    """The log odds, unchanged: they fall when the loss rises."""

    def __init__(self, chance: float) -> None:
        self.floor = log_odds(-np.log(chance))

    def of(self, mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
        return mean, np.sqrt(variance)

    def of_known(self, known: Known, mean: Numbers) -> Numbers:
        return mean


class Accuracy:
    """Accuracy: its log odds are a line over those of the loss, plus a candidate's deviation.

    The deviations are estimated from the spread of accuracies beyond the noise of the number of
    images.

    Args:
        images: number of images in the validation part.
        floor: the accuracy of the reference point.
    """

    def __init__(self, known: Known, images: int, floor: float) -> None:
        self.floor = floor
        tried = known.seeds > 0
        count = images * known.seeds[tried]
        accuracy = (known.accuracy[tried] * count + 0.5) / (count + 1)
        accuracy_odds, odds = logit(accuracy), known.odds[tried]
        noise = 1 / (count * accuracy * (1 - accuracy))
        self._line = Line.through(odds, accuracy_odds, noise, _SPREAD)
        self._off = np.zeros(len(tried))
        self._left = np.full(len(tried), self._line.spread**2)
        share = self._line.spread**2 / (self._line.spread**2 + noise)
        self._off[tried] = share * (accuracy_odds - self._line.at(odds))
        self._left[tried] *= 1 - share

    def of(self, mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
        line = self._line
        return _moments(line.at(mean), line.slope**2 * variance + line.spread**2)

    def of_known(self, known: Known, mean: Numbers) -> Numbers:
        return _moments(self._line.at(mean) + self._off, self._left)[0]


def _moments(mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation of the logistic function of normally distributed numbers."""
    values = expit(mean[:, None] + np.sqrt(variance)[:, None] * _NODES)
    first = values @ _WEIGHTS
    second = (values - first[:, None]) ** 2 @ _WEIGHTS
    return first, np.sqrt(np.maximum(second, 1e-12))
