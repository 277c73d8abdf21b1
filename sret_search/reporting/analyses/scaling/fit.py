"""Robust fits of a law, hundreds in one batch.

The loss of the residuals is Huber's. A grid over the exponents gives the starting point: there E
and A have a closed form (variable projection). The method of Levenberg and Marquardt continues from
it, for all K problems of a batch together. Bootstraps and profiles start at the optimum. A problem
that is singular, or has numbers that are not finite, does not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sret_search.reporting.analyses.scaling.law import HIGHEST, LOWEST, E, Points

_BATCH = 1 << 16
"""Residuals of the problems that are solved together, such that they stay in the cache."""
_STEPS = 60
_HUBER = 1.345
"""Standard deviations from which a residual counts in proportion: 95 % efficient for normal
residuals."""
_STARTS = 8
_LEAST = 1e-9
"""Damping at which the problem with the strongest curvature is still far from singular."""
_DIAGONAL = np.arange(4)


@dataclass(frozen=True)
class Fit:
    """The optimum of a problem.

    Attributes:
        theta: E, A, φ, α.
        free: mask of the parameters that were fitted.
        scale: robust standard deviation of the residuals.
        loss: sum of Huber's loss, in squared residuals.
        noise: variance of a residual, estimated from the seeds of a candidate, without the part
            that seeds share. 0 with one seed.
        spread: variance that normalises differences of `loss`: twice the difference divided by it
            has the F distribution with 1 and `dof` degrees of freedom. Never less than `noise`,
            however well a few candidates fit by chance: a mean cannot be more certain than its
            seeds.
    """

    points: Points
    centre: float
    theta: np.ndarray
    free: np.ndarray
    scale: float
    loss: float
    noise: float
    spread: float
    residuals: np.ndarray
    dof: int

    @property
    def delta(self) -> float:
        """The residual from which on a point counts less."""
        return _delta(self.points, self.scale)

    @property
    def covariance(self) -> np.ndarray:
        """The covariance of the parameters, from the curvature (4, 4). 0 for parameters that were
        given."""
        J = _jacobian(self.points, self.theta, self.centre)[self.free]
        full = np.zeros((4, 4))
        # If A is far from 1, its units would make a curvature look singular that is not.
        units = 1 / np.maximum(np.linalg.norm(J, axis=1), 1e-150)
        inverse = np.linalg.pinv((J * units[:, None]) @ (J * units[:, None]).T)
        with np.errstate(all="ignore"):
            inverse = np.nan_to_num(inverse * np.outer(units, units) * self.spread)
        full[np.ix_(self.free, self.free)] = inverse
        return full


@np.errstate(all="ignore")
def fit(points: Points, phi: float | None = None) -> Fit | None:
    """The best fit, for a given φ if there is one. None with too few points."""
    free = np.array([points.family_n is None, True, phi is None, True])
    dof = len(points.y_n) - int(free.sum()) - (points.families if not free[E] else 0)
    if dof < 2:
        return None
    centre = points.centre
    starts = _starts(points, centre, phi)
    theta, loss = solve(points, centre, starts, free, np.inf)
    best = theta[[np.argmin(loss)]]
    scale = _scale(points, centre, best, dof)
    for _ in range(3):  # the scale of the residuals depends on the fit, and the fit on the scale
        theta, loss = solve(points, centre, best, free, _delta(points, scale))
        best, scale = theta, _scale(points, centre, theta, dof)
    # Robust weights may prefer another valley.
    restarts = np.concatenate([best, starts])
    theta, loss = solve(points, centre, restarts, free, _delta(points, scale))
    chosen = int(np.argmin(loss))
    r = points.residuals(theta[[chosen]], centre)[0][0]
    noise = _noise(points, _jacobian(points, theta[chosen], centre)[free], dof)
    return Fit(
        points=points,
        centre=centre,
        theta=theta[chosen],
        free=free,
        scale=scale,
        loss=float(loss[chosen]),
        noise=noise,
        spread=max(spread(r[None], np.ones((1, len(r))), _delta(points, scale), dof).item(), noise),
        residuals=r,
        dof=dof,
    )


def _delta(points: Points, scale: float) -> float:
    """The residual from which on a point counts less. Infinite for families, which need least
    squares: if they gain unequally, the ends of all of them would count less, and the law would
    bend."""
    return _HUBER * scale if points.family_n is None else np.inf


def _jacobian(points: Points, theta: np.ndarray, centre: float) -> np.ndarray:
    """The derivatives of the law at each candidate (4, n). 0 where they are not finite."""
    with np.errstate(all="ignore"):
        J_4n = points.residuals(theta[None], centre)[1][0]
    finite: np.ndarray = np.where(np.isfinite(J_4n), J_4n, 0.0)
    return finite


def _noise(points: Points, J_pn: np.ndarray, dof: int) -> float:
    """Variance of a mean over seeds. It uses the residuals of each seed after removal of everything
    that a law could follow, and of what the seed shares with all candidates, which is no noise."""
    if points.seeds < 2:
        return 0.0
    units = np.maximum(np.abs(J_pn).max(axis=1, keepdims=True), 1e-300)
    basis = np.linalg.qr((J_pn / units).T)[0]
    residuals = points.deviation_sn - (points.deviation_sn @ basis) @ basis.T
    residuals, freedom = residuals.reshape(1, -1), (points.seeds - 1) * dof
    size = float(np.median(np.abs(residuals)) / 0.6745 * np.sqrt(residuals.size / freedom))
    bounded = spread(residuals, np.ones_like(residuals), _delta(points, max(size, 1e-12)), freedom)
    return float(bounded.item() / points.seeds)


def spread(r_Kn: np.ndarray, w_Kn: np.ndarray, delta: float, dof: int) -> np.ndarray:
    """E[ψ²] / E[ψ′] of each problem: the variance of residuals as bounded by Huber's loss, with the
    factor K² of Huber (Robust Statistics, 1981, §7.6) for few points."""
    total = np.sum(w_Kn, axis=1)
    bounded = np.sum(w_Kn * np.minimum(np.abs(r_Kn), delta) ** 2, axis=1)
    inside = np.maximum(np.sum(w_Kn * (np.abs(r_Kn) <= delta), axis=1) / total, 0.3)
    inflation = 1 + (total - dof) / total * (1 - inside) / inside
    variance: np.ndarray = np.maximum(bounded / dof / inside * inflation**2, 1e-300)
    return variance


def solve(
    points: Points, centre: float, start_K4: np.ndarray, free_4: np.ndarray, delta: float,
    w_Kn: np.ndarray | None = None, shift_Kn: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The nearest optimum of each problem, and its loss.

    Args:
        free_4: the parameters that are not held at their start.
        delta: the residual from which on Huber's loss is a line. Infinite for least squares.
        w_Kn: weight of each point. None for equal weights.
        shift_Kn: shifts of the residuals. None for the residuals of the means over seeds.
    """
    batch = max(1, _BATCH // len(points.y_n))
    free_K4 = np.broadcast_to(free_4, start_K4.shape)
    w_Kn = np.ones((1, len(points.y_n))) if w_Kn is None else w_Kn
    shift_Kn = np.zeros((1, 1)) if shift_Kn is None else shift_Kn
    with np.errstate(all="ignore"):
        batches = [
            _solve(
                points, centre, start_K4[i : i + batch], free_K4[i : i + batch],
                w_Kn if len(w_Kn) == 1 else w_Kn[i : i + batch], delta,
                shift_Kn if len(shift_Kn) == 1 else shift_Kn[i : i + batch],
            )
            for i in range(0, len(start_K4), batch)
        ]  # fmt: skip
    return np.concatenate([theta for theta, _ in batches]), np.concatenate(
        [loss for _, loss in batches]
    )


def _solve(
    points: Points, centre: float, theta: np.ndarray, free: np.ndarray, w: np.ndarray, delta: float,
    shift: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    theta = np.clip(theta, LOWEST, HIGHEST)
    r, J = points.residuals(theta, centre)
    r = r + shift
    loss = _huber(r, w, delta)
    damping = np.full(len(theta), 1e-3)
    waiting = np.ones(len(theta), dtype=bool)
    for _ in range(_STEPS):
        psi = w * np.minimum(1.0, delta / np.maximum(np.abs(r), 1e-300))
        g = (J @ (psi * r)[..., None])[..., 0]
        at_end = ((theta <= LOWEST) & (g < 0)) | ((theta >= HIGHEST) & (g > 0))
        step = _step((J * psi[:, None]) @ J.transpose(0, 2, 1), g, free & ~at_end, damping)
        trial = np.clip(theta + step, LOWEST, HIGHEST)
        r_new, J_new = points.residuals(trial, centre)
        r_new = r_new + shift
        loss_new = _huber(r_new, w, delta)
        better = waiting & (loss_new <= loss)
        done = better & (loss - loss_new <= 1e-10 * loss)
        theta, loss = np.where(better[:, None], trial, theta), np.where(better, loss_new, loss)
        r = np.where(better[:, None], r_new, r)
        J = np.where(better[:, None, None], J_new, J)
        damping = np.where(better, np.maximum(damping / 5, _LEAST), damping * 5)
        waiting &= ~done & (damping < 1e8)
        if not waiting.any():
            break
    return theta, loss


def _step(
    H_K44: np.ndarray, g_K4: np.ndarray, moves_K4: np.ndarray, damping_K: np.ndarray
) -> np.ndarray:
    """Marquardt's step of each problem, in units in which the diagonal of H is 1. With damping on
    it no finite H is singular. A parameter without influence does not move, and neither does a
    problem with numbers that are not finite."""
    top = H_K44[:, _DIAGONAL, _DIAGONAL]
    units = np.where(moves_K4 & (top > 0), 1 / np.sqrt(np.maximum(top, 1e-300)), 0.0)
    H, g = H_K44 * units[:, :, None] * units[:, None, :], g_K4 * units
    finite = np.isfinite(H).all((1, 2)) & np.isfinite(g).all(1)
    H, g = np.where(finite[:, None, None], H, 0.0), np.where(finite[:, None], g, 0.0)
    H[:, _DIAGONAL, _DIAGONAL] = (
        np.where(units > 0, 1.0, 0.0) * finite[:, None] + damping_K[:, None]
    )
    step: np.ndarray = np.linalg.solve(H, g[..., None])[..., 0] * units
    return np.where(np.isfinite(step), step, 0.0)


def _huber(r: np.ndarray, w: np.ndarray, delta: float) -> np.ndarray:
    bounded = np.minimum(np.abs(r), delta)
    total = np.sum(w * bounded * (np.abs(r) - bounded / 2), axis=1)
    losses: np.ndarray = np.where(np.isnan(total), np.inf, total)
    return losses


def _scale(points: Points, centre: float, theta_14: np.ndarray, dof: int) -> float:
    """Median of absolute residuals, consistent for normal residuals, corrected for the number of
    fitted parameters."""
    r = points.residuals(theta_14, centre)[0][0]
    size = float(np.median(np.abs(r)) / 0.6745 * np.sqrt(len(r) / dof))
    rms = float(np.sqrt(np.sum(r**2) / dof))
    return max(size, 0.1 * rms, 1e-12)


def _starts(points: Points, centre: float, phi: float | None) -> np.ndarray:
    """The best points of a grid over φ and α, with E and A in closed form (K, 4)."""
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
        away_x, away_y = points.minus_family_mean(x), points.minus_family_mean(y)
    slope = (away_x @ (w * away_y)) / np.maximum(away_x**2 @ w, 1e-300)
    a = np.maximum(slope, 0)
    e = mean_y - a * mean_x
    if points.family_n is None:  # without E if it would be negative
        a, e = np.where(e < 0, (x @ (w * y)) / (x**2 @ w), a), np.maximum(e, 0)
    else:
        e = np.zeros_like(e)
    theta = np.stack([e, a, grid[:, 0], grid[:, 1]], axis=1)
    theta = np.where(np.isfinite(theta), theta, [np.median(y), 0.0, 0.0, 1.0])
    r = points.residuals(theta, centre)[0]
    order = np.argsort(np.sum(r**2, axis=1))
    kept: list[int] = []
    for i in order:  # one start for each neighbourhood of the grid
        if all(np.max(np.abs(_cell(grid[i]) - _cell(grid[j]))) >= 1.9 for j in kept):
            kept.append(int(i))
        if len(kept) == _STARTS:
            break
    starts: np.ndarray = theta[kept]
    return starts


def _cell(exponents: np.ndarray) -> np.ndarray:
    """The coordinates of exponents in the grid of `_starts`, in steps of the grid."""
    place: np.ndarray = np.array([exponents[0] / 0.25, np.log(exponents[1]) / 0.398])
    return place
