"""A Gaussian process of few, noisy results (Rasmussen & Williams, 2006).

The prior is a plane over some of the features plus a smooth remainder. The remainder has a Matérn
5/2 kernel with a length scale for each group of features. The length scales, the standard deviation
of the remainder and the noise have the highest posterior density under weak priors, because a few
results do not determine them. With more than `MOST` results the process is projected onto `MOST` of
them (Titsias, 2009). All results are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Numbers = NDArray[np.float64]

MOST = 256
"""Points onto which the process is projected."""
_FITTED = 300
"""Results to which the settings are fitted, at most."""
_JITTER = 1e-8
_SLOPE = 0.5
"""Standard deviation of the plane's slope over a feature's range, in those of the results."""
_LENGTH, _REMAINDER, _NOISE = (1.5, 0.8), (1.0, 0.7), (0.15, 0.8)
"""Medians and logarithmic widths of the priors. Lengths are in units of a feature's range, the
others in standard deviations of the results."""
_STARTS = (1.0, 1.0), (0.3, 2.0)
"""Starts of the optimisation: factors of the medians of lengths and noise."""
_STEPS = 60


@dataclass(frozen=True)
class Features:
    """The columns of a matrix of features.

    Attributes:
        groups: the group of each column, from 0.
        plane: whether each column is an input of the plane.
    """

    groups: NDArray[np.int64]
    plane: NDArray[np.bool_]


@dataclass(frozen=True)
class Results:
    """Results from which a process learns.

    Attributes:
        x: features from 0 to 1 (results, features).
        y: measured values (results,).
        share: the factor of the learnt noise variance: 1 / n for a mean of n values (results,).
        extra: additional noise variance (results,).
    """

    x: Numbers
    y: Numbers
    share: Numbers
    extra: Numbers

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: NDArray[np.int64]) -> Results:
        return Results(self.x[which], self.y[which], self.share[which], self.extra[which])

    def and_(self, more: Results) -> Results:
        """These results, followed by others."""
        return Results(
            np.concatenate([self.x, more.x]),
            np.concatenate([self.y, more.y]),
            np.concatenate([self.share, more.share]),
            np.concatenate([self.extra, more.extra]),
        )


@dataclass(frozen=True)
class Settings:
    """The prior of a process.

    Attributes:
        centre, scale: mean and standard deviation of the results. All other settings are in these
            units.
        lengths: length scale of each group of features.
        remainder: standard deviation of the smooth remainder.
        noise: standard deviation of a single result.
    """

    features: Features
    centre: float
    scale: float
    lengths: Numbers
    remainder: float
    noise: float

    def kernel(self, a: Numbers, b: Numbers) -> Numbers:
        """Covariances of two sets of points (a, b)."""
        lengths = self.lengths[self.features.groups]
        left, right = a / lengths, b / lengths
        squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        # In place: with thousands of points, most of the time of an ask is spent here.
        root = np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)
        root *= math.sqrt(5)
        smooth: Numbers = np.exp(-root)
        root += root**2 / 3
        root += 1
        smooth *= root
        smooth *= self.remainder**2
        smooth += _plane(self.features, a, b)
        return smooth

    def variances(self, x: Numbers) -> Numbers:
        """Variances of points (x,)."""
        inside = 2 * _SLOPE * (x[:, self.features.plane] - 0.5)
        variances: Numbers = 1.0 + (inside**2).sum(1) + self.remainder**2
        return variances

    def noises(self, results: Results) -> Numbers:
        """Variances of the noise (results,)."""
        return self.noise**2 * results.share + results.extra / self.scale**2 + _JITTER


def fit(features: Features, results: Results) -> Settings:
    """The settings of the highest posterior density.

    They do not depend on the order of the results, unless there are more than `_FITTED`. Then
    results at even distances in their order are used.
    """
    if len(results) > _FITTED:
        results = results.take(np.linspace(0, len(results) - 1, _FITTED).round().astype(np.int64))
    centre = float(results.y.mean())
    scale = max(float(results.y.std()), 0.05)
    task = _Likelihood(features, results, (results.y - centre) / scale)
    best = min((task.descend(length, noise) for length, noise in _STARTS), key=lambda end: end[0])
    *lengths, remainder, noise = np.exp(best[1]).tolist()
    return Settings(features, centre, scale, np.array(lengths), remainder, noise)


class _Likelihood:
    """The negative logarithm of the posterior density of settings, with its gradient."""

    def __init__(self, features: Features, results: Results, y: Numbers) -> None:
        self.y, self.results = y, results
        groups = int(features.groups.max()) + 1
        self.squares = np.zeros((groups, len(y), len(y)))
        """Squared distances, by group of features."""
        for column, group in enumerate(features.groups.tolist()):
            self.squares[group] += (
                np.subtract.outer(results.x[:, column], results.x[:, column]) ** 2
            )
        self.plane = _plane(features, results.x, results.x)
        self.extra = results.extra / max(float(results.y.std()), 0.05) ** 2 + _JITTER
        medians = [_LENGTH] * groups + [_REMAINDER, _NOISE]
        self.centre = np.log([median for median, _ in medians])
        self.width = np.array([width for _, width in medians])

    def descend(self, length: float, noise: float) -> tuple[float, Numbers]:
        """The lowest value reached from a start, and its point.

        Args:
            length, noise: factors of the medians of the priors.
        """
        start = self.centre.copy()
        start[:-2] += math.log(length)
        start[-1] += math.log(noise)
        bounds = list(zip(self.centre - 4 * self.width, self.centre + 4 * self.width, strict=True))
        end = minimize(
            self, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
        )
        return float(end.fun), end.x

    def __call__(self, point: Numbers) -> tuple[float, Numbers]:
        lengths, remainder, noise = np.exp(point[:-2]), math.exp(point[-2]), math.exp(point[-1])
        squares = np.tensordot(lengths**-2, self.squares, 1)
        smooth, slope = _matern(squares)
        covariance = self.plane + remainder**2 * smooth
        covariance[np.diag_indices_from(covariance)] += noise**2 * self.results.share + self.extra
        factor = cholesky(covariance, lower=True, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(len(self.y)), check_finite=False)
        alpha = inverse @ self.y
        value = 0.5 * float(self.y @ alpha) + float(np.log(np.diag(factor)).sum())
        inner = 0.5 * (inverse - np.outer(alpha, alpha))
        by_square = (inner * slope * remainder**2).ravel()
        gradient = np.concatenate([
            -2 * lengths**-2 * (self.squares.reshape(len(lengths), -1) @ by_square),
            [2 * remainder**2 * float((inner * smooth).sum())],
            [2 * noise**2 * float(np.diag(inner) @ self.results.share)],
        ])  # fmt: skip
        off = (point - self.centre) / self.width
        return value + 0.5 * float(off @ off), gradient + off / self.width


class Posterior:
    """A process conditioned on results."""

    def __init__(
        self, settings: Settings, results: Results, onto: NDArray[np.int64] | None = None
    ) -> None:
        """Condition the process on the results.

        Args:
            onto: indices of the results onto which it is projected; all of them if None.
        """
        self.settings = settings
        self._points = results.x if onto is None else results.x[onto]
        inner = settings.kernel(self._points, self._points)
        inner[np.diag_indices_from(inner)] += 1e-6
        self._inner = cholesky(inner, lower=True, check_finite=False)
        weights = 1 / np.sqrt(settings.noises(results))
        across = settings.kernel(self._points, results.x)
        left = self._solved(self._inner, across) * weights
        outer = left @ left.T
        outer[np.diag_indices_from(outer)] += 1.0
        self._outer = cholesky(outer, lower=True, check_finite=False)
        y = (results.y - settings.centre) / settings.scale
        self._target = self._solved(self._outer, left @ (weights * y))

    def mean(self, x: Numbers) -> Numbers:
        """Expected values at points (x,)."""
        return self._mean(self.settings.kernel(self._points, x))

    def both(self, x: Numbers) -> tuple[Numbers, Numbers]:
        """Expected values at points and their variances without noise (x,)."""
        across = self.settings.kernel(self._points, x)
        return self._mean(across), self._variance(x, across)

    def _mean(self, across: Numbers) -> Numbers:
        pulled: Numbers = self._pull @ across
        return self.settings.centre + self.settings.scale * pulled

    def _variance(self, x: Numbers, across: Numbers) -> Numbers:
        first = self._solved(self._inner, across)
        second = self._solved(self._outer, first)
        left = self.settings.variances(x) - (first**2).sum(0) + (second**2).sum(0)
        variance: Numbers = np.maximum(left, 1e-10) * self.settings.scale**2
        return variance

    @cached_property
    def _pull(self) -> Numbers:
        back = solve_triangular(self._outer, self._target, lower=True, trans=1, check_finite=False)
        pull: Numbers = solve_triangular(self._inner, back, lower=True, trans=1, check_finite=False)
        return pull

    def _solved(self, factor: Numbers, right: Numbers) -> Numbers:
        solution: Numbers = solve_triangular(factor, right, lower=True, check_finite=False)
        return solution


def _matern(squares: Numbers) -> tuple[Numbers, Numbers]:
    """The Matérn 5/2 kernel and its derivative, from squared distances."""
    root = np.sqrt(5 * squares)
    fall = np.exp(-root)
    return (1 + root + root**2 / 3) * fall, -5 / 6 * (1 + root) * fall


def _plane(features: Features, a: Numbers, b: Numbers) -> Numbers:
    left = 2 * _SLOPE * (a[:, features.plane] - 0.5)
    right = 2 * _SLOPE * (b[:, features.plane] - 0.5)
    plane: Numbers = 1.0 + left @ right.T
    return plane
