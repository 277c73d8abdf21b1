"""Robust fits of a law, hundreds at once.

The residuals' loss is Huber's. A grid over the exponents, on which E and A have a closed form
(variable projection), finds where to begin; Levenberg and Marquardt's method goes on from there,
for all K problems of a batch together: bootstraps and profiles begin at the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sret_search.reporting.scaling.law import HIGHEST, LOWEST, E, Points

_BATCH = 1 << 16
"""Residuals of the problems that are solved together, so that they stay in the cache."""
_STEPS = 60
_HUBER = 1.345
"""Standard deviations from which a residual counts in proportion: 95 % efficient if normal."""
_STARTS = 8


@dataclass(frozen=True)
class Fit:
    """The optimum of one problem.

    Attributes:
        theta: E, A, φ, α.
        free: which of them were fitted.
        scale: robust standard deviation of the residuals.
        loss: sum of Huber's loss, in squared residuals.
        spread: variance by which differences of `loss` are measured: twice the difference over it
            is distributed as F with 1 and `dof` degrees of freedom.
    """

    points: Points
    centre: float
    theta: np.ndarray
    free: np.ndarray
    scale: float
    loss: float
    spread: float
    residuals: np.ndarray
    dof: int

    @property
    def delta(self) -> float:
        """From which residual on a point counts less."""
        return _delta(self.points, self.scale)

    @property
    def covariance(self) -> np.ndarray:
        """Of the parameters, by curvature (4, 4); 0 for those that were given."""
        J = self.points.residuals(self.theta[None], self.centre)[1][0][self.free]
        found = np.zeros((4, 4))
        found[np.ix_(self.free, self.free)] = np.linalg.pinv(J @ J.T) * self.spread
        return found


def fit(points: Points, phi: float | None = None) -> Fit | None:
    """The best fit, at a given φ where there is one; None where there are too few points."""
    free = np.array([points.family_n is None, True, phi is None, True])
    dof = len(points.y_n) - int(free.sum()) - (points.families if not free[E] else 0)
    if dof < 2:
        return None
    centre = points.centre
    starts = _starts(points, centre, phi)
    frees = np.broadcast_to(free, starts.shape)
    ones = np.ones((1, len(points.y_n)))
    theta, loss = solve(points, centre, starts, frees, ones, np.inf)
    best = theta[[np.argmin(loss)]]
    scale = _scale(points, centre, best, dof)
    for _ in range(3):  # the scale of the residuals depends on the fit, and the fit on the scale
        theta, loss = solve(points, centre, best, free[None], ones, _delta(points, scale))
        best, scale = theta, _scale(points, centre, theta, dof)
    # Robust weights may favour another valley.
    again = np.concatenate([best, starts])
    frees = np.broadcast_to(free, again.shape)
    theta, loss = solve(points, centre, again, frees, ones, _delta(points, scale))
    chosen = int(np.argmin(loss))
    r = points.residuals(theta[[chosen]], centre)[0][0]
    return Fit(
        points=points,
        centre=centre,
        theta=theta[chosen],
        free=free,
        scale=scale,
        loss=float(loss[chosen]),
        spread=spread(r[None], ones, _delta(points, scale), dof).item(),
        residuals=r,
        dof=dof,
    )


def _delta(points: Points, scale: float) -> float:
    """From which residual on a point counts less. Least squares serves families: where they gain
    unequally, the ends of all of them would count less, and the law would bend."""
    return _HUBER * scale if points.family_n is None else np.inf


def spread(r_Kn: np.ndarray, w_Kn: np.ndarray, delta: float, dof: int) -> np.ndarray:
    """E[ψ²] / E[ψ′] of each problem: the variance of residuals that Huber's loss has bounded,
    with the factor K² of Huber (Robust Statistics, 1981, §7.6) for few points."""
    total = np.sum(w_Kn, axis=1)
    bounded = np.sum(w_Kn * np.minimum(r_Kn**2, delta**2), axis=1)
    inside = np.maximum(np.sum(w_Kn * (np.abs(r_Kn) <= delta), axis=1) / total, 0.3)
    few = 1 + (total - dof) / total * (1 - inside) / inside
    variance: np.ndarray = np.maximum(bounded / dof / inside * few**2, 1e-300)
    return variance


def solve(
    points: Points, centre: float, start_K4: np.ndarray, free_K4: np.ndarray, w_Kn: np.ndarray,
    delta: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The nearest optimum of each problem, and its loss.

    Args:
        w_Kn: how often each point counts; (1, n) where that is the same for all problems.
        delta: from which residual on Huber's loss is a line; infinite for least squares.
    """
    batch = max(1, _BATCH // len(points.y_n))
    found = [
        _solve(
            points, centre, start_K4[i : i + batch], free_K4[i : i + batch],
            w_Kn if len(w_Kn) == 1 else w_Kn[i : i + batch], delta,
        )
        for i in range(0, len(start_K4), batch)
    ]  # fmt: skip
    return np.concatenate([theta for theta, _ in found]), np.concatenate(
        [loss for _, loss in found]
    )


def _solve(
    points: Points, centre: float, theta: np.ndarray, free: np.ndarray, w: np.ndarray, delta: float
) -> tuple[np.ndarray, np.ndarray]:
    theta = np.clip(theta, LOWEST, HIGHEST)
    r, J = points.residuals(theta, centre)
    loss = _huber(r, w, delta)
    damping = np.full(len(theta), 1e-3)
    waiting = np.ones(len(theta), dtype=bool)
    diagonal = np.arange(4)
    for _ in range(_STEPS):
        psi = w * np.minimum(1.0, delta / np.maximum(np.abs(r), 1e-300))
        g = (J @ (psi * r)[..., None])[..., 0]
        at_end = ((theta <= LOWEST) & (g < 0)) | ((theta >= HIGHEST) & (g > 0))
        moves = free & ~at_end
        H = (J * psi[:, None]) @ J.transpose(0, 2, 1)
        H = H * (moves[:, :, None] & moves[:, None, :])
        top = H[:, diagonal, diagonal]
        H[:, diagonal, diagonal] += damping[:, None] * top + np.where(moves & (top > 0), 0, 1)
        H[:, diagonal, diagonal] *= 1 + 1e-12
        step = np.linalg.solve(H, (g * moves)[..., None])[..., 0]
        trial = np.clip(theta + step, LOWEST, HIGHEST)
        r_new, J_new = points.residuals(trial, centre)
        loss_new = _huber(r_new, w, delta)
        better = waiting & (loss_new <= loss)
        done = better & (loss - loss_new <= 1e-10 * loss)
        theta, loss = np.where(better[:, None], trial, theta), np.where(better, loss_new, loss)
        r = np.where(better[:, None], r_new, r)
        J = np.where(better[:, None, None], J_new, J)
        damping = np.where(better, damping / 5, damping * 5)
        waiting &= ~done & (damping < 1e8)
        if not waiting.any():
            break
    return theta, loss


def _huber(r: np.ndarray, w: np.ndarray, delta: float) -> np.ndarray:
    bounded = np.minimum(np.abs(r), delta)
    total: np.ndarray = np.sum(w * bounded * (np.abs(r) - bounded / 2), axis=1)
    return total


def _scale(points: Points, centre: float, theta_14: np.ndarray, dof: int) -> float:
    """Normal-consistent median of absolute residuals, for the parameters that were fitted."""
    r = points.residuals(theta_14, centre)[0][0]
    size = float(np.median(np.abs(r)) / 0.6745 * np.sqrt(len(r) / dof))
    rms = float(np.sqrt(np.sum(r**2) / dof))
    return max(size, 0.1 * rms, 1e-12)


def _starts(points: Points, centre: float, phi: float | None) -> np.ndarray:
    """The best of a grid over φ and α, with E and A in closed form (K, 4)."""
    phis = np.linspace(-1.5, 2.0, 15) if phi is None else np.array([phi])
    alphas = np.geomspace(0.05, 4, 12)
    grid = np.stack(np.meshgrid(phis, alphas, indexing="ij"), axis=-1).reshape(-1, 2)
    log_Kn, _ = points.log_size(grid[:, 0], centre)
    x = np.exp(-grid[:, 1, None] * log_Kn)
    y = points.y_n
    w = 1 / np.maximum(y, 1e-9) ** 2 if points.relative else np.ones_like(y)
    mean_x, mean_y = x @ w / w.sum(), float(y @ w / w.sum())
    if points.family_n is None:
        away_x, away_y = x - mean_x[:, None], y - mean_y
    else:
        away_x, away_y = points.within(x), points.within(y)
    slope = (away_x @ (w * away_y)) / np.maximum(away_x**2 @ w, 1e-300)
    a = np.maximum(slope, 0)
    e = mean_y - a * mean_x
    if points.family_n is None:  # without E where it would be negative
        a, e = np.where(e < 0, (x @ (w * y)) / (x**2 @ w), a), np.maximum(e, 0)
    else:
        e = np.zeros_like(e)
    theta = np.stack([e, a, grid[:, 0], grid[:, 1]], axis=1)
    r = points.residuals(theta, centre)[0]
    order = np.argsort(np.sum(r**2, axis=1))
    kept: list[int] = []
    for i in order:  # one start for each neighbourhood of the grid
        if all(np.max(np.abs(_cell(grid[i]) - _cell(grid[j]))) >= 1.9 for j in kept):
            kept.append(int(i))
        if len(kept) == _STARTS:
            break
    found: np.ndarray = theta[kept]
    return found


def _cell(exponents: np.ndarray) -> np.ndarray:
    """Place in the grid of `_starts`."""
    place: np.ndarray = np.array([exponents[0] / 0.25, np.log(exponents[1]) / 0.398])
    return place
