"""The spread over seeds, estimated from all candidates of a study together.

Two seeds of one candidate say little about it: Student's t asks for 12.7 standard errors. Other
candidates help, but all of them are trained with the same seeds. So an accuracy, in log odds, is
modelled as candidate + seed + rest.

All candidates share the part of the seed. Its degrees of freedom are the number of seeds less one,
however many candidates there are. Other candidates help to estimate the rest. Candidates do not
spread equally. Standard deviations are proportional to a (1 - a), where a is accuracy. So they are
equal in log odds, and candidates of similar accuracy say most. Even so each candidate has its
variance of the rest. So the others count as much as a few seeds and no more: this is the moderated
variance of Smyth (2004, Statistical Applications in Genetics and Molecular Biology 3), with a given
prior.

The mean of s seeds has the variance (U + (1 - k) v) / s. U is the variance over seeds of the mean
deviation of all candidates. v is the moderated variance of the rest. k is the share of v that U
already contains: 1/c for c candidates with the same seeds. Each part has its quantile of Student's
t, and their squares are added (as Cochran 1964, Biometrics 20, weighs two variances of unequal
freedom). The ends of the interval lie at this distance in log odds. With only one candidate the
interval is Student's t. `benchmarks/interval_coverage.py` measures the coverage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from sret_search.reporting.statistics import intervals
from sret_search.reporting.statistics.intervals import LEAST, Interval, proportion
from sret_search.trials.trial import TrialRecord

_POOLED_DOF = 30
"""Degrees of freedom from which a spread is estimated, if the study has as many."""
_PRIOR = 3.0
"""The largest number of degrees of freedom with which other candidates count, besides those of the
candidate itself. On the digits 208 candidates would allow 6 and more. A smaller number also covers
candidates that spread more than others."""


@dataclass(frozen=True)
class Variances:
    """Variances over seeds, in log odds, of candidates with two seeds or more.

    Attributes:
        candidates, accuracy: names and mean accuracies, by rising accuracy.
        variance, dof: variance of the rest of each candidate, and its degrees of freedom.
        shared, shared_dof: variance over seeds of the mean deviation of all candidates, and its
            degrees of freedom.
        rest_share: share of the variance of the rest that `shared` contains.
        images: number of images of the part of the data.
        folds: number of folds that seeds take in turn as their images. None if all seeds have the
            same images.
    """

    candidates: tuple[str, ...]
    accuracy: np.ndarray
    variance: np.ndarray
    dof: np.ndarray
    shared: float
    shared_dof: int
    rest_share: float
    images: int
    folds: int | None = None

    @classmethod
    def from_accuracies(
        cls,
        candidates: Sequence[str],
        seeds: Sequence[int],
        accuracies: Sequence[float],
        images: int,
        folds: int | None = None,
    ) -> Variances:
        """The variances of trainings, each of a candidate with a seed.

        Seeds are fitted by least squares, so candidates may lack some of them.
        """
        names, place = np.unique(np.asarray(candidates, dtype=str), return_inverse=True)
        several = (np.bincount(place, minlength=len(names)) > 1)[place]
        names, place = np.unique(np.asarray(candidates, dtype=str)[several], return_inverse=True)
        distinct_seeds, seed = np.unique(np.asarray(seeds)[several], return_inverse=True)
        value = np.asarray(accuracies, dtype=float)[several]
        count = np.bincount(place, minlength=len(names))
        accuracy = np.bincount(place, value, len(names)) / count
        deviation = (value - accuracy[place]) / _slope(accuracy, images)[place]

        design = np.zeros((len(names), len(distinct_seeds)))
        np.add.at(design, (place, seed), 1)
        normal = np.diag(design.sum(0)) - design.T @ (design / count[:, None])
        inverse = np.linalg.pinv(normal, rcond=1e-9, hermitian=True)
        effect = inverse @ np.bincount(seed, deviation, len(distinct_seeds))
        shared_dof = round(float(np.trace(inverse @ normal)))
        rest = deviation - effect[seed] + (design @ effect / count)[place]
        residual_dof = len(value) - len(names)
        dof = (count - 1) * (residual_dof - shared_dof) / max(residual_dof, 1)
        squares = np.bincount(place, rest**2, len(names))
        variance = np.divide(squares, dof, out=np.zeros(len(names)), where=dof > 0)
        order = np.argsort(accuracy, kind="stable")
        return cls(
            candidates=tuple(map(str, names[order])),
            accuracy=accuracy[order],
            variance=variance[order],
            dof=dof[order],
            shared=float(effect @ effect) / max(shared_dof, 1),
            shared_dof=shared_dof,
            rest_share=float(np.trace(inverse)) / max(shared_dof, 1),
            images=images,
            folds=folds,
        )

    @classmethod
    def from_trials(
        cls, entries: Iterable[TrialRecord], part: str, images: int, folds: int | None = None
    ) -> Variances:
        """The variances of complete trials on a part of the data, "val" or "test"."""
        trials = list(entries)
        return cls.from_accuracies(
            [entry.candidate for entry in trials],
            [entry.seed for entry in trials],
            [entry.result.accuracy(part) for entry in trials],
            images,
            folds,
        )

    def interval(
        self, values: Sequence[float], candidate: str | None = None, chosen_from: int = 1
    ) -> Interval:
        """The interval at 95 % of the accuracy of a candidate of this study: over its seeds, or
        over images with one seed.

        Args:
            values: accuracy of each of its seeds.
            candidate: its name. None for the spread of candidates of similar accuracy.
            chosen_from: number of candidates from which it was chosen as the best by such numbers.
        """
        if len(values) == 1:
            return proportion(values[0], self.images, chosen_from)
        if not self.shared_dof:  # no seed is shared, so nothing can be pooled
            return intervals.accuracy(values, self.images)
        mean, seeds = np.array([np.mean(values)]), np.array([len(values)])
        low, high = self.intervals(
            mean, seeds, None if candidate is None else [candidate], chosen_from
        )
        return float(low[0]), float(high[0])

    def intervals(
        self,
        accuracy: np.ndarray,
        seeds: np.ndarray,
        candidates: Sequence[str] | None = None,
        chosen_from: int = 1,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lower and upper ends, at 95 %, of candidates of this study with two seeds or more.

        The best of several candidates has a lucky rest, by as much as the largest of `chosen_from` normal
        deviates is expected to be (Blom 1958, Statistical Estimates and Transformed
        Beta-Variables). The lower end corrects for that. Without a part of the seed it has the
        level of Bonferroni's correction. The part of the seed is the same for all candidates, so
        the best owes nothing to it.

        Args:
            accuracy: means over seeds.
            seeds: number of seeds of each.
            candidates: names, for the variance of each. None for candidates of similar accuracy.
            chosen_from: number of candidates from which each was chosen as the best.
        """
        rest, dof = self.moderated(accuracy, candidates)
        rest_share = min(self.rest_share, 1.0)
        slope = _slope(accuracy, self.images)
        missing = np.maximum(
            (LEAST / self.images / slope) ** 2 - self.shared - (1 - rest_share) * rest, 0
        )
        shared_t = special.stdtrit(max(self.shared_dof, 1), 0.975)
        shared = shared_t * np.sqrt((self.shared + rest_share * missing) / seeds)
        # The deviation of the rest, enlarged as its degrees of freedom require at 95 %.
        error = np.sqrt((1 - rest_share) * (rest + missing) / seeds)
        error *= special.stdtrit(dof, 0.975) / special.ndtri(0.975)
        half = np.hypot(shared, special.ndtri(0.975) * error)
        luck = special.ndtri((chosen_from - 0.375) / (chosen_from + 0.25))
        chosen = luck * error + np.hypot(
            shared, (-special.ndtri(0.025 / chosen_from) - luck) * error
        )
        if len(self.candidates) > 1:
            low = np.minimum(_moved(accuracy, -chosen, self.images), accuracy)
            high = np.maximum(_moved(accuracy, half, self.images), accuracy)
        else:
            low, high = accuracy - slope * chosen, accuracy + slope * half
        if self.folds is not None:  # seeds spread no less than their images
            images = self.images * np.minimum(seeds, self.folds)
            counted = np.array(
                [proportion(a, int(n), chosen_from) for a, n in zip(accuracy, images, strict=True)]
            ).reshape(-1, 2)
            low, high = np.minimum(low, counted[:, 0]), np.maximum(high, counted[:, 1])
        return np.maximum(low, 0.0), np.minimum(high, 1.0)

    def rest_at(self, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The variance of the rest of single trainings with these accuracies, from the candidates
        of most similar accuracy, and its degrees of freedom. They are 0 if no candidates share
        seeds."""
        variance, dof = self._around(accuracy)
        return _slope(accuracy, self.images) ** 2 * variance, dof

    def shared_at(self, accuracy: np.ndarray) -> np.ndarray:
        """The variance over seeds of the mean deviation of all candidates, at these accuracies."""
        return _slope(accuracy, self.images) ** 2 * self.shared

    def moderated(
        self, accuracy: np.ndarray, candidates: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The variance of the rest of candidates of this study, in log odds, and its degrees of
        freedom, which are at least 1."""
        around, around_dof = self._around(accuracy)
        variance, dof = np.zeros_like(around), np.zeros_like(around)
        for i, name in enumerate(candidates if candidates is not None else ()):
            if (place := self._places.get(name)) is not None:
                variance[i], dof[i] = self.variance[place], self.dof[place]
        other_dof = np.maximum(around_dof - dof, 0)
        # From a few other candidates the variance is uncertain itself.
        prior = _PRIOR * other_dof / (2 * _PRIOR + other_dof)
        total_dof = np.maximum(prior + dof, 1e-9)
        return (prior * around + dof * variance) / total_dof, np.maximum(total_dof, 1)

    def _around(self, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The variance of the rest in log odds at these accuracies, and its degrees of freedom."""
        dof_sums, spread = self._sums
        last = len(self.dof)
        place = np.searchsorted(self.accuracy, accuracy)
        lower, upper = np.zeros_like(place), np.full_like(place, max(last, 1))
        while np.any(upper - lower > 1):  # the number of ranks to include on both sides
            half = (lower + upper) // 2
            enough = (
                dof_sums[np.minimum(place + half, last)] - dof_sums[np.maximum(place - half, 0)]
                >= _POOLED_DOF
            )
            lower, upper = np.where(enough, lower, half), np.where(enough, half, upper)
        low, high = np.maximum(place - upper, 0), np.minimum(place + upper, last)
        dof = dof_sums[high] - dof_sums[low]
        squares = spread[high] - spread[low]
        return np.divide(squares, dof, out=np.zeros_like(dof), where=dof > 1e-9), dof

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.candidates)}

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums over all candidates before each place: degrees of freedom, and squares in log
        odds."""
        dof_sums = np.concatenate([[0.0], np.cumsum(self.dof)])
        return dof_sums, np.concatenate([[0.0], np.cumsum(self.variance * self.dof)])


def _moved(accuracy: np.ndarray, log_odds: np.ndarray, images: int) -> np.ndarray:
    """The accuracy at a distance of `log_odds` from this accuracy."""
    p = np.clip(accuracy, 0.5 / images, 1 - 0.5 / images)
    moved: np.ndarray = special.expit(special.logit(p) + log_odds)
    return moved


def _slope(accuracy: np.ndarray, images: int) -> np.ndarray:
    """The derivative of an accuracy with respect to its log odds."""
    p = np.clip(accuracy, 0.5 / images, 1 - 0.5 / images)
    slope: np.ndarray = p * (1 - p)
    return slope
