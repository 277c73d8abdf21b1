"""Intervals of a fit at 95 %, from its profile, with a height that resampling confirms.

An interval contains the values of a parameter at which the best fit of all other parameters is not
significantly worse. Three measures decide what is significant.

The first is the F distribution. It is right if residuals are independent and have equal variance.

The second is a bootstrap over architectures (over families, if each has its limit). It measures by
how much a fit becomes better than the truth by chance. It allows for architectures that scatter
more than others, but needs twenty of them. The wider of the first two counts. With families the
bootstrap alone counts, widened by Student's t if they are few.

The third is for deviations that candidates share, since they are trained with the same seeds. Each
seed is left out in turn (the jackknife). The squared changes add up to a variance with degrees of
freedom equal to the number of seeds less one (Tukey, Annals of Mathematical Statistics 29, 1958,
614; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 11). It is added to the
variance of architectures, less the noise of seeds, which both contain (as variances of crossed
samples add: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007, 386). An interval
is never narrower than by architectures alone. With one seed there is no interval.
`benchmarks/scaling_recovery.py` measures the coverage of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from sret_search.reporting.analyses.scaling.fit import Fit, solve, spread
from sret_search.reporting.analyses.scaling.law import HIGHEST, LOWEST, Points, is_on_edge

_BOOTSTRAPS = 200
_BLOCKS = 20
"""The fewest architectures for a bootstrap."""
_AWAY = np.array([0.3, 0.6, 1, 1.5, 2, 2.5, 3, 4, 6, 10, 16, 26])
"""Distances at which a profile is computed on both sides, in standard errors."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval at 95 %.

    Attributes:
        value: None if the best fit lies on an end of the range of the parameter, and so is no
            estimate.
        low, high: None if the interval is open on that side.
    """

    value: float | None
    low: float | None
    high: float | None

    @property
    def is_open(self) -> bool:
        return self.low is None or self.high is None


@dataclass(frozen=True)
class Bootstraps:
    """Fits to resampled candidates, and fits without each seed in turn.

    Attributes:
        w_Bn: how often each candidate was drawn.
        theta_B4, loss_B: the optima of the bootstraps.
        loss_s: the losses of the optima without each seed.
    """

    fit: Fit
    w_Bn: np.ndarray
    theta_B4: np.ndarray
    loss_B: np.ndarray
    loss_s: np.ndarray

    @classmethod
    @np.errstate(all="ignore")
    def draw(cls, fit: Fit, count: int = _BOOTSTRAPS, seed: int = 0) -> Bootstraps:
        """Draw and fit, starting at the optimum. The same seed gives the same draws."""
        points, blocks = fit.points, fit.points.blocks
        rng = np.random.default_rng(seed)
        w = rng.multinomial(blocks, np.full(blocks, 1 / blocks), count).astype(float)
        if points.family_n is not None:
            w = w[:, points.family_n]
        start = np.broadcast_to(fit.theta, (count, 4))
        theta, loss = solve(points, fit.centre, start, fit.free, fit.delta, w)
        return cls(fit, w, theta, loss, _without_each_seed(fit, fit.free)[1])

    def height(self, place: int) -> float:
        """The 95 % quantile, over bootstraps, of the height of a parameter's profile at the fitted
        value. For a bootstrap the fitted value is the truth. The height is a square root,
        comparable to Student's t."""
        best, theta = self.fit, self.theta_B4.copy()
        theta[:, place] = best.theta[place]
        free = best.free & (np.arange(4) != place)
        _, at_truth = solve(best.points, best.centre, theta, free, best.delta, self.w_Bn)
        r_Bn = best.points.residuals(self.theta_B4, best.centre)[0]
        variance = spread(r_Bn, self.w_Bn, best.delta, best.dof)
        worse = 2 * np.maximum(at_truth - self.loss_B, 0) / variance
        return float(np.sqrt(np.quantile(worse, 0.95)))

    def height_of_seeds(self, place: int) -> float:
        """The height over seeds, by the jackknife and Student's t for their number."""
        _, at_truth = _without_each_seed(self.fit, self.fit.free & (np.arange(4) != place))
        worse = 2 * np.maximum(at_truth - self.loss_s, 0) / self.fit.spread
        return _t_of_seeds(self.fit.points) * float(np.sqrt(np.sum(worse)))

    def band(self, log_size: np.ndarray, phi: float) -> tuple[np.ndarray, np.ndarray]:
        """The law's interval at each log(M / M₀), with M for this φ: percentiles, widened by the
        deviation that seeds share. If each family has its limit, the law at M₀ is subtracted."""
        best = self.fit
        free = best.free & (np.arange(4) != 2)
        start = self.theta_B4.copy()
        start[:, 2] = phi
        theta, _ = solve(best.points, best.centre, start, free, best.delta, self.w_Bn)
        of_seeds, _ = _without_each_seed(best, free)
        middle, law_Bx, law_sx = (
            self._law(parameters, log_size) for parameters in (best.theta[None], theta, of_seeds)
        )
        share = _t_of_seeds(best.points) * np.sqrt(np.sum((law_sx - middle) ** 2, axis=0))
        low, high = np.quantile(law_Bx, (0.025, 0.975), axis=0)
        middle = middle[0]
        return (
            middle - np.hypot(np.maximum(middle - low, 0), share),
            middle + np.hypot(np.maximum(high - middle, 0), share),
        )

    def _law(self, theta_K4: np.ndarray, log_size: np.ndarray) -> np.ndarray:
        e, a, _, alpha = theta_K4.T[..., None]
        if self.fit.points.family_n is not None:
            e = -a
        law: np.ndarray = e + a * np.exp(-alpha * log_size)
        return law


def _t_of_seeds(points: Points) -> float:
    """Student's t for a variance over the seeds of the points. Infinite with one seed."""
    return float(special.stdtrit(points.seeds - 1, 0.975)) if points.seeds > 1 else np.inf


def _without_each_seed(fit: Fit, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The optimum without each seed in turn, and its loss."""
    shifts = fit.points.shifts_sn
    start = np.broadcast_to(fit.theta, (len(shifts), 4))
    return solve(fit.points, fit.centre, start, free, fit.delta, shift_Kn=shifts)


@np.errstate(all="ignore")
def estimate(fit: Fit, place: int, bootstraps: Bootstraps) -> Estimate:
    """A parameter with its interval."""
    optimum = float(fit.theta[place])
    value = None if is_on_edge(place, optimum) else optimum
    points = fit.points
    if points.seeds < 2:
        return Estimate(value, None, None)
    height = normal = float(special.stdtrit(fit.dof, 0.975))
    if points.family_n is not None:
        # The candidates of a family share their deviation from the law, which F does not know.
        widening = float(special.stdtrit(points.families - 1, 0.975) / special.ndtri(0.975))
        height = widening * bootstraps.height(place)
    elif len(points.y_n) >= _BLOCKS:
        height = max(height, bootstraps.height(place))
    noise = normal**2 * fit.noise / fit.spread
    squared = bootstraps.height_of_seeds(place) ** 2 + max(height**2 - noise, 0)
    height = float(np.sqrt(np.maximum(height**2, squared)))
    values, heights = profile(fit, place)
    below, above = values < optimum, values > optimum
    return Estimate(
        value,
        crossing(values[below][::-1], heights[below][::-1], optimum, height),
        crossing(values[above], heights[above], optimum, height),
    )


@np.errstate(all="ignore")
def profile(fit: Fit, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of a parameter, and how much worse the best fit at each value is. The second is the
    square root of a statistic with the F distribution with 1 and `fit.dof` degrees of freedom."""
    optimum, covariance = fit.theta[place], fit.covariance
    error = np.sqrt(max(covariance[place, place], 1e-300))
    ends = [end for end in (LOWEST[place], HIGHEST[place]) if np.isfinite(end)]
    between = np.concatenate([[], *(np.linspace(end, optimum, 6)[:-1] for end in ends)])
    values = np.concatenate([optimum - _AWAY * error, optimum + _AWAY * error, between])
    values = np.unique(np.clip(values, LOWEST[place], HIGHEST[place]))
    # Start from the optimum along the valley, and straight: far away either may be the nearer.
    along = fit.theta + (values - optimum)[:, None] * covariance[:, place] / error**2
    start = np.concatenate([along, np.broadcast_to(fit.theta, along.shape)])
    start = np.where(np.isfinite(start), start, fit.theta)
    start[:, place] = np.tile(values, 2)
    free = fit.free & (np.arange(4) != place)
    _, loss = solve(fit.points, fit.centre, start, free, fit.delta)
    worse = 2 * (loss.reshape(2, -1).min(0) - fit.loss) / fit.spread
    return values, np.sqrt(np.maximum(np.nan_to_num(worse, posinf=1e300), 0))


def crossing(values: np.ndarray, heights: np.ndarray, start: float, height: float) -> float | None:
    """The point where a profile, outwards from the optimum, first reaches a height. None if it
    never does."""
    over = np.flatnonzero(heights > height)
    if not len(over):
        return None
    values, heights = np.append(start, values), np.append(0.0, heights)
    i = over[0]
    return float(np.interp(height, heights[i : i + 2], values[i : i + 2]))
