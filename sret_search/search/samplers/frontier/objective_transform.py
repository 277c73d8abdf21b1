"""From the log odds of a model to the objective that is learnt, with what is unsure about it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import expit, logit

from sret_search.search.samplers.frontier.gp import Numbers
from sret_search.search.samplers.frontier.targets import Known, Line, log_odds

_SPREAD = 0.2
"""How far, in log odds, accuracies lie off their line, before any is known."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Merit(Protocol):
    """What is to be maximised, of log odds that are normally distributed.

    Attributes:
        floor: of the reference: that of chance.
    """

    floor: float

    def of(self, mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
        """Of candidates that were not trained: its mean and standard deviation."""
        ...

    def of_known(self, known: Known, mean: Numbers) -> Numbers:
        """Of those of which results are known: its mean."""
        ...


class Loss:
    """The log odds themselves: they fall as the loss rises."""

    def __init__(self, chance: float) -> None:
        self.floor = log_odds(-np.log(chance))

    def of(self, mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
        return mean, np.sqrt(variance)

    def of_known(self, known: Known, mean: Numbers) -> Numbers:
        return mean


class Accuracy:
    """Its log odds are a line over those of the loss, and a part of each candidate's own, as far
    as accuracies spread more than so few images make them.

    Args:
        images: of the validation part.
        floor: the accuracy of the reference.
    """

    def __init__(self, known: Known, images: int, floor: float) -> None:
        self.floor = floor
        tried = known.seeds > 0
        count = images * known.seeds[tried]
        accuracy = (known.accuracy[tried] * count + 0.5) / (count + 1)
        own, odds = logit(accuracy), known.odds[tried]
        noise = 1 / (count * accuracy * (1 - accuracy))
        self._line = Line.through(odds, own, noise, _SPREAD)
        self._off = np.zeros(len(tried))
        self._left = np.full(len(tried), self._line.spread**2)
        share = self._line.spread**2 / (self._line.spread**2 + noise)
        self._off[tried] = share * (own - self._line.at(odds))
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
