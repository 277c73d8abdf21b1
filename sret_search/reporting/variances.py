"""How far seeds spread, as all candidates of a study tell together.

Two seeds of one candidate say next to nothing of that: Student's t asks for 12.7 standard errors.
Those of all others say more. They do not spread alike: what is learnt badly is learnt differently by
each seed, so that standard deviations go with a (1 - a), where a is accuracy; that is, log odds
spread alike, and candidates tell most of those that are about as accurate. Even so each candidate has
a spread of its own, so that the others count for a few seeds and no more: the moderated variance of
Smyth (2004, Statistical Applications in Genetics and Molecular Biology 3), whose prior is given.
`benchmarks/interval_coverage.py` measures what it covers where variances differ fourfold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import special

from sret_search.reporting.intervals import LEAST, Interval, proportion
from sret_search.search.entry import Entry

_FREE = 30
"""Degrees of freedom that a spread is taken from, where the study has so many."""
_PRIOR = 3.0
"""Those that other candidates count for at most beside a candidate's own. On the digits 208 candidates
would allow 6 and more; with fewer, candidates that spread more than others are covered too."""


@dataclass(frozen=True)
class Variances:
    """Variances over seeds of candidates, by rising accuracy.

    Attributes:
        accuracy, variance, free: of each candidate with two seeds or more, its mean, its variance
            in log odds, and its degrees of freedom.
        images: of the part of the data.
    """

    accuracy: np.ndarray
    variance: np.ndarray
    free: np.ndarray
    images: int

    @classmethod
    def of(cls, candidates: Sequence[str], accuracies: Sequence[float], images: int) -> Variances:
        """Of trainings, each of a candidate, and the images of the part of the data."""
        grouped = pd.Series(accuracies, dtype=float).groupby(np.asarray(candidates))
        table = pd.DataFrame({"a": grouped.mean(), "v": grouped.var(), "free": grouped.count() - 1})
        table = table[table.free > 0].sort_values("a")
        accuracy, variance, free = table[["a", "v", "free"]].to_numpy(dtype=float).T
        return cls(accuracy, variance / _slope(accuracy, images) ** 2, free, images)

    @classmethod
    def among(cls, entries: Iterable[Entry], part: str, images: int) -> Variances:
        """Of trials that are complete, on a part of the data, "val" or "test"."""
        own = [(entry.candidate, entry.result[f"{part}_accuracy"]) for entry in entries]
        return cls.of([name for name, _ in own], [value for _, value in own], images)

    def interval(self, values: Sequence[float]) -> Interval:
        """Of the accuracy of a candidate of this study at 95 %: over its seeds, or over images
        where there is one seed."""
        if len(values) == 1:
            return proportion(values[0], self.images)
        one = np.array([[np.mean(values)], [np.var(values, ddof=1)], [len(values)]])
        low, high = self.intervals(*one)
        return float(low[0]), float(high[0])

    def intervals(
        self, accuracy: np.ndarray, variance: np.ndarray, seeds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of candidates of this study with two seeds or more, at 95 %: their lower and upper ends.

        Args:
            accuracy, variance: of their own seeds.
        """
        moderated, free = self.moderated(accuracy, variance, seeds - 1)
        deviation = np.maximum(np.sqrt(moderated), LEAST / self.images)
        half = special.stdtrit(free, 0.975) * deviation / np.sqrt(seeds)
        return np.maximum(accuracy - half, 0.0), np.minimum(accuracy + half, 1.0)

    def at(self, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of single trainings that come to these accuracies: variances, of the candidates with the
        most similar ones, and their degrees of freedom, none where no candidate has two seeds."""
        free, spread = self._sums
        last = len(self.free)
        place = np.searchsorted(self.accuracy, accuracy)
        few, many = np.zeros_like(place), np.full_like(place, max(last, 1))
        while np.any(many - few > 1):  # how many ranks to go to both sides
            half = (few + many) // 2
            enough = (
                free[np.minimum(place + half, last)] - free[np.maximum(place - half, 0)] >= _FREE
            )
            few, many = np.where(enough, few, half), np.where(enough, half, many)
        low, high = np.maximum(place - many, 0), np.minimum(place + many, last)
        found = free[high] - free[low]
        variance = (spread[high] - spread[low]) / np.maximum(found, 1)
        return _slope(accuracy, self.images) ** 2 * variance, found

    def moderated(
        self, accuracy: np.ndarray, variance: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of candidates of this study, with such a mean, variance and degrees of freedom of their
        own: the variance of a training, and its degrees of freedom."""
        around, found = self.at(accuracy)
        others = np.maximum(found - free, 0)
        # Of few others what they tell is itself a guess.
        prior = _PRIOR * others / (2 * _PRIOR + others)
        return (prior * around + free * variance) / (prior + free), prior + free

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Degrees of freedom, and squares in log odds, of all candidates before each place."""
        free = np.concatenate([[0.0], np.cumsum(self.free)])
        return free, np.concatenate([[0.0], np.cumsum(self.variance * self.free)])


def _slope(accuracy: np.ndarray, images: int) -> np.ndarray:
    """By how much an accuracy changes where its log odds do."""
    p = np.clip(accuracy, 0.5 / images, 1 - 0.5 / images)
    slope: np.ndarray = p * (1 - p)
    return slope
