"""What trainings say about their candidates, as numbers that a model can learn.

Cross-entropy is learnt, not accuracy: that of one seed on a few hundred images is only good to a
point or two. It is learnt as the log odds of the typical probability of the right class,
-log(exp(loss) - 1): their noise is about the same for good candidates, where a loss varies by so
many percent, and for bad ones, where it varies by so much; and the log odds of accuracy rise with
them nearly in a straight line.
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
"""By how much a lost training is worse than the worst one."""
_STEADY = 0.3
"""Log odds by which a curve's end is unsure where no other curve is known."""
_SLOPE, _CONSTANT = 0.4, 1.0
"""How sure it is, before any result, that a line has slope 1 and constant 0: standard deviations."""


def log_odds(loss: float) -> float:
    """Of the typical probability of the right class."""
    loss = min(max(loss, 1e-4), 30.0)
    return -math.log(math.expm1(loss))


@dataclass(frozen=True)
class Outcome:
    """What one trial has shown.

    Attributes:
        odds: of its validation loss; NaN where the training was lost.
        accuracy: on the validation part.
        epoch: the last rung that it came to; 0 where it was trained to its end.
        rungs: the log odds at each epoch at which it might have been stopped.
    """

    odds: float
    accuracy: float
    epoch: int
    rungs: Mapping[int, float]

    @classmethod
    def of(cls, entry: TrialRecord) -> Outcome:
        """Of a trial that has ended."""
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
        """The outcome of a trial that was stopped, or waits, at a rung, or goes on from there.

        Args:
            rungs: what it reached at each, by epoch.
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
    """The candidates of which results are known.

    Attributes:
        which: their places among all that were begun, in rising order (candidates,).
        odds, share, extra: as `Results` has them (candidates,).
        accuracy: mean of the trainings that came to their end; NaN where none did (candidates,).
        seeds: how many did (candidates,).
    """

    which: NDArray[np.int64]
    odds: Numbers
    share: Numbers
    extra: Numbers
    accuracy: Numbers
    seeds: NDArray[np.int64]

    def results(self, x: Numbers) -> Results:
        """With the features of all that were begun."""
        return Results(x[self.which], self.odds, self.share, self.extra)


def known(outcomes: list[tuple[int, Outcome]], chance: float) -> Known:
    """What trials have shown, by candidate: the place of each trial's, and its outcome.

    The end of a curve that was stopped is guessed from those that were not. A lost training
    counts as somewhat worse than the worst one, and as chance.
    """
    places = np.array([place for place, _ in outcomes])
    odds = np.array([one.odds for _, one in outcomes])
    accuracy = np.array([one.accuracy for _, one in outcomes])
    stopped = np.array([one.epoch for _, one in outcomes]) > 0
    extra = np.zeros(len(odds))
    for epoch in sorted({one.epoch for _, one in outcomes} - {0}):
        curves = [one for _, one in outcomes if one.epoch == 0 and epoch in one.rungs]
        line = Line.through(
            np.array([one.rungs[epoch] for one in curves]),
            np.array([one.odds for one in curves]),
            np.zeros(len(curves)),
            _STEADY,
        )
        here = np.array([one.epoch == epoch for _, one in outcomes])
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
    """A straight line through points, with a prior, and how far points lie off it."""

    constant: float
    slope: float
    spread: float

    def at(self, x: Numbers) -> Numbers:
        return self.constant + self.slope * x

    @classmethod
    def through(cls, x: Numbers, y: Numbers, noise: Numbers, spread: float) -> Line:
        """
        Args:
            noise: variances of `y` that are no spread of the points themselves, (points,).
            spread: guessed before; as good as four points.
        """
        prior = np.diag([1 / _CONSTANT**2, 1 / _SLOPE**2])
        start = np.array([0.0, 1.0])
        design = np.column_stack([np.ones(len(x)), x])
        found, variance = start, spread**2
        for _ in range(5):
            off = y - design @ found
            total = noise + max(variance, 1e-6)
            # Points far off count less (Huber).
            weights = np.minimum(1.0, 2.0 * np.sqrt(total) / np.maximum(np.abs(off), 1e-12)) / total
            precision = design.T @ (weights[:, None] * design) + prior
            found = np.linalg.solve(precision, design.T @ (weights * y) + prior @ start)
            off = np.minimum(np.abs(y - design @ found), 3.0 * np.sqrt(total))
            excess = float((off**2 - noise).sum())
            variance = max(4 * spread**2 + excess, 0.02 * spread**2) / (4 + len(x))
        return cls(float(found[0]), max(float(found[1]), 0.1), math.sqrt(variance))
