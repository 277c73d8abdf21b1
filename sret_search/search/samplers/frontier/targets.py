"""Results of trainings as numbers from which a model can learn.

Cross-entropy is learnt, not accuracy, since the accuracy of one seed on a few hundred images is
exact only to one or two percentage points. It is learnt as the log odds of the typical probability
of the right class, -log(exp(loss) - 1). The noise of these log odds is about the same for good
candidates, whose loss varies in proportion to its size, and for bad ones, whose loss varies by a
fixed amount. The log odds of accuracy are nearly a linear function of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.search.samplers.frontier.gp import Numbers, Results
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult

_WORSE = 0.25
"""Log odds by which a diverged or failed training counts as worse than the worst other one."""
_STEADY = 0.3
"""Standard deviation of a curve's end, in log odds, if no other curve is known."""
_SLOPE, _CONSTANT = 0.4, 1.0
"""Prior standard deviations of a line's slope around 1 and of its constant around 0."""


def log_odds(loss: float) -> float:
    """The log odds of the typical probability of the right class.

    Args:
        loss: mean cross-entropy in nats.
    """
    loss = min(max(loss, 1e-4), 30.0)
    return -math.log(math.expm1(loss))


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial so far.

    Attributes:
        odds: log odds of its validation loss; NaN if it diverged or failed.
        accuracy: on the validation part, as a fraction; NaN if it is not complete.
        epoch: the last rung that it reached; 0 if it was trained to its end.
        rungs: the log odds at each rung that it reached, by epoch.
    """

    odds: float
    accuracy: float
    epoch: int
    rungs: Mapping[int, float]

    @classmethod
    def of(cls, entry: TrialRecord) -> Outcome:
        """The outcome of a trial that has ended."""
        result = entry.result
        if entry.state == "complete":
            rungs = _odds(entry.rungs)
            loss = _number(result.val_loss, math.inf)
            return cls(log_odds(loss), _number(result.val_accuracy, 0.0), 0, rungs)
        if entry.state == "stopped":
            return cls.so_far(entry.rungs)
        return cls(math.nan, math.nan, 0, {})

    @classmethod
    def so_far(cls, rungs: Mapping[int, RungResult]) -> Outcome:
        """The outcome of a trial whose last result is that of a rung.

        Args:
            rungs: its result at each rung that it reached, by epoch.
        """
        odds = _odds(rungs)
        last = max(odds)
        return cls(odds[last], math.nan, last, odds)


def _odds(rungs: Mapping[int, RungResult]) -> dict[int, float]:
    return {epoch: log_odds(_number(rung.val_loss, math.inf)) for epoch, rung in rungs.items()}


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else otherwise


@dataclass(frozen=True)
class Known:
    """Results by candidate.

    Attributes:
        which: places of the candidates among all that began, in rising order (candidates,).
        odds, share, extra: `y`, `share` and `extra` of `Results` (candidates,).
        accuracy: mean over the trainings that ran to their end; NaN if there are none
            (candidates,).
        seeds: number of these trainings (candidates,).
    """

    which: NDArray[np.int64]
    odds: Numbers
    share: Numbers
    extra: Numbers
    accuracy: Numbers
    seeds: NDArray[np.int64]

    def results(self, x: Numbers) -> Results:
        """The results with their features.

        Args:
            x: features of all candidates that began (all, features).
        """
        return Results(x[self.which], self.odds, self.share, self.extra)


def known(outcomes: list[tuple[int, Outcome]], chance: float) -> Known:
    """Collect the outcomes of trials by candidate.

    The end of a curve that was stopped is predicted from the curves that were not. A diverged or
    failed training counts as somewhat worse than the worst other one, with the accuracy of chance.

    Args:
        outcomes: the place of each trial's candidate, with the trial's outcome.
        chance: the accuracy of chance.
    """
    places = np.array([place for place, _ in outcomes])
    odds = np.array([outcome.odds for _, outcome in outcomes])
    accuracy = np.array([outcome.accuracy for _, outcome in outcomes])
    stopped = np.array([outcome.epoch for _, outcome in outcomes]) > 0
    extra = np.zeros(len(odds))
    for epoch in sorted({outcome.epoch for _, outcome in outcomes} - {0}):
        curves = [
            outcome for _, outcome in outcomes if outcome.epoch == 0 and epoch in outcome.rungs
        ]
        line = Line.through(
            np.array([outcome.rungs[epoch] for outcome in curves]),
            np.array([outcome.odds for outcome in curves]),
            np.zeros(len(curves)),
            _STEADY,
        )
        here = np.array([outcome.epoch == epoch for _, outcome in outcomes])
        extra[here] = line.spread**2
        odds[here] = line.at(odds[here])
    lost = np.isnan(odds)
    worst = log_odds(-math.log(chance))
    if not lost.all():
        worst = min(worst, float(odds[~lost].min())) - _WORSE
    odds[lost], accuracy[lost] = worst, chance
    which, index = np.unique(places, return_inverse=True)
    count = np.bincount(index)
    ended = ~stopped
    seeds = np.bincount(index[ended], minlength=len(which))
    sums = np.bincount(index[ended], accuracy[ended], minlength=len(which))
    return Known(
        which,
        np.bincount(index, odds) / count,
        1 / count,
        np.bincount(index, extra) / count**2,
        np.where(seeds > 0, sums / np.maximum(seeds, 1), np.nan),
        seeds,
    )


@dataclass(frozen=True)
class Line:
    """A straight line through points, with the spread of the points around it."""

    constant: float
    slope: float
    spread: float

    def at(self, x: Numbers) -> Numbers:
        return self.constant + self.slope * x

    @classmethod
    def through(cls, x: Numbers, y: Numbers, noise: Numbers, spread: float) -> Line:
        """Fit a line with a prior.

        Args:
            noise: variances of the errors of `y`, which are not part of the spread (points,).
            spread: the prior of the spread. It weighs as much as four points.
        """
        prior = np.diag([1 / _CONSTANT**2, 1 / _SLOPE**2])
        start = np.array([0.0, 1.0])
        design = np.column_stack([np.ones(len(x)), x])
        line, variance = start, spread**2
        for _ in range(5):
            off = y - design @ line
            total = noise + max(variance, 1e-6)
            # Outliers have a lower weight (Huber).
            weights = np.minimum(1.0, 2.0 * np.sqrt(total) / np.maximum(np.abs(off), 1e-12)) / total
            precision = design.T @ (weights[:, None] * design) + prior
            line = np.linalg.solve(precision, design.T @ (weights * y) + prior @ start)
            off = np.minimum(np.abs(y - design @ line), 3.0 * np.sqrt(total))
            excess = float((off**2 - noise).sum())
            variance = max(4 * spread**2 + excess, 0.02 * spread**2) / (4 + len(x))
        return cls(float(line[0]), max(float(line[1]), 0.1), math.sqrt(variance))
