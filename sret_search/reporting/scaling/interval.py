"""How sure a fit is: intervals at 95 % by its profile, at a height that bootstraps confirm.

An interval has the values of a parameter at which the best fit of all others is not significantly
worse. What is significant has two measures. One is the F distribution, right where residuals are
independent and alike. The other is a bootstrap over architectures, each with its seeds (over
families, where each has a limit of its own), which asks how much better than the truth a fit
becomes by chance; it sees where some architectures scatter more than others, but takes twenty of
them. The wider one counts; of families the bootstrap alone, wider by Student's t where they are few.
`benchmarks/scaling_recovery.py` measures what each covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from sret_search.reporting.scaling.fit import Fit, solve, spread
from sret_search.reporting.scaling.law import HIGHEST, LOWEST

_BOOTSTRAPS = 200
_BLOCKS = 20
"""Fewest architectures whose bootstrap says how sure a fit is."""
_AWAY = np.array([0.3, 0.6, 1, 1.5, 2, 2.5, 3, 4, 6, 10])
"""Standard errors at which a profile is taken, on both sides."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval at 95 %; an end that is None is open: nothing bounds it there."""

    value: float
    low: float | None
    high: float | None

    @property
    def is_open(self) -> bool:
        return self.low is None or self.high is None


@dataclass(frozen=True)
class Bootstraps:
    """Fits to resampled candidates.

    Attributes:
        w_Bn: how often each candidate was drawn.
        theta_B4, loss_B: the optima.
    """

    found: Fit
    w_Bn: np.ndarray
    theta_B4: np.ndarray
    loss_B: np.ndarray

    @classmethod
    def of(cls, found: Fit, count: int = _BOOTSTRAPS, seed: int = 0) -> Bootstraps:
        """Draw and fit, from the optimum on; the same draws for the same seed."""
        points, blocks = found.points, found.points.blocks
        rng = np.random.default_rng(seed)
        w = rng.multinomial(blocks, np.full(blocks, 1 / blocks), count).astype(float)
        if points.family_n is not None:
            w = w[:, points.family_n]
        start = np.broadcast_to(found.theta, (count, 4))
        free = np.broadcast_to(found.free, (count, 4))
        theta, loss = solve(points, found.centre, start, free, w, found.delta)
        return cls(found, w, theta, loss)

    def height(self, place: int) -> float:
        """Which height of a parameter's profile 95 % of the bootstraps stay under at the value
        that was fitted, which is the truth to them; as a square root, like Student's t."""
        found, theta = self.found, self.theta_B4.copy()
        theta[:, place] = found.theta[place]
        free = np.broadcast_to(found.free & (np.arange(4) != place), theta.shape)
        _, at_truth = solve(found.points, found.centre, theta, free, self.w_Bn, found.delta)
        r_Bn = found.points.residuals(self.theta_B4, found.centre)[0]
        variance = spread(r_Bn, self.w_Bn, found.delta, found.dof)
        worse = 2 * np.maximum(at_truth - self.loss_B, 0) / variance
        return float(np.sqrt(np.quantile(worse, 0.95)))

    def band(self, log_size: np.ndarray, phi: float) -> tuple[np.ndarray, np.ndarray]:
        """The law's interval at each log(M / M₀), with M of this φ (percentiles); less the law at
        M₀, where each family has a limit of its own."""
        found = self.found
        start = self.theta_B4.copy()
        start[:, 2] = phi
        free = np.broadcast_to(found.free & (np.arange(4) != 2), start.shape)
        theta, _ = solve(found.points, found.centre, start, free, self.w_Bn, found.delta)
        e, a, _, alpha = theta.T[..., None]
        if found.points.family_n is not None:
            e = -a
        low, high = np.quantile(e + a * np.exp(-alpha * log_size), (0.025, 0.975), axis=0)
        return low, high


def estimate(found: Fit, place: int, drawn: Bootstraps) -> Estimate:
    """A parameter with its interval."""
    value = float(found.theta[place])
    height = float(special.stdtrit(found.dof, 0.975))
    if found.points.family_n is not None:
        # The candidates of a family share what parts them from the law: F knows nothing of that.
        few = float(special.stdtrit(found.points.families - 1, 0.975) / special.ndtri(0.975))
        height = few * drawn.height(place)
    elif len(found.points.y_n) >= _BLOCKS:
        height = max(height, drawn.height(place))
    values, heights = profile(found, place)
    below, above = values < value, values > value
    return Estimate(
        value,
        crossing(values[below][::-1], heights[below][::-1], value, height),
        crossing(values[above], heights[above], value, height),
    )


def profile(found: Fit, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of a parameter, and how much worse the best fit at each of them is, as the square
    root of a statistic with the F distribution of 1 and `found.dof` degrees of freedom."""
    at, covariance = found.theta[place], found.covariance
    error = np.sqrt(max(covariance[place, place], 1e-300))
    ends = [end for end in (LOWEST[place], HIGHEST[place]) if np.isfinite(end)]
    between = np.concatenate([[], *(np.linspace(end, at, 6)[:-1] for end in ends)])
    values = np.concatenate([at - _AWAY * error, at + _AWAY * error, between])
    values = np.unique(np.clip(values, LOWEST[place], HIGHEST[place]))
    # From the optimum along the valley, and straight: far away either may be the nearer.
    along = found.theta + (values - at)[:, None] * covariance[:, place] / error**2
    start = np.concatenate([along, np.broadcast_to(found.theta, along.shape)])
    start[:, place] = np.tile(values, 2)
    free = np.broadcast_to(found.free & (np.arange(4) != place), start.shape)
    ones = np.ones((1, len(found.points.y_n)))
    _, loss = solve(found.points, found.centre, start, free, ones, found.delta)
    worse = 2 * (loss.reshape(2, -1).min(0) - found.loss) / found.spread
    return values, np.sqrt(np.maximum(worse, 0))


def crossing(values: np.ndarray, heights: np.ndarray, start: float, height: float) -> float | None:
    """Where a profile, from the optimum on outwards, first reaches a height."""
    over = np.flatnonzero(heights > height)
    if not len(over):
        return None
    values, heights = np.append(start, values), np.append(0.0, heights)
    i = over[0]
    return float(np.interp(height, heights[i : i + 2], values[i : i + 2]))
