"""Seeds that candidates share: the choice of seeds, and the certainty of a slope over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from sret_search.reporting.analyses.scaling.interval import Estimate
from sret_search.reporting.analyses.scaling.law import Points


def as_number(value: Any) -> float:
    """A result as a number. NaN for None."""
    return float(np.asarray(value, dtype=float))


def block(trained: Mapping[str, Mapping[int, float]], fewest: int) -> tuple[list[str], list[int]]:
    """The largest set of candidates with the seeds that all of them were trained with.

    Means over different seeds would differ by the effects of these seeds, and not only by
    candidate.

    Args:
        trained: result of each candidate, by seed.
        fewest: the fewest candidates that must share more than one seed.
    """
    counts: dict[int, int] = {}
    for by_seed in trained.values():
        for seed in by_seed:
            counts[seed] = counts.get(seed, 0) + 1
    order = sorted(counts, key=lambda seed: (-counts[seed], seed))
    best: tuple[list[str], list[int]] = (list(trained), [])
    size = -1
    for k in range(1, len(order) + 1):
        names = [name for name, by_seed in trained.items() if by_seed.keys() >= set(order[:k])]
        if k > 1 and len(names) < fewest:
            break
        if (k - 1) * len(names) > size:
            best, size = (names, sorted(order[:k])), (k - 1) * len(names)
    return best


@np.errstate(all="ignore")
def slope(points: Points, x_n: np.ndarray, given: Sequence[np.ndarray] = ()) -> Estimate:
    """The slope of y against x, with its interval at 95 %. y is replaced by its logarithm if
    residuals are relative.

    Each seed has its slope, over all candidates. Student's t over these slopes allows for
    everything that the candidates of a seed share, but not for the choice of candidates. So the
    scatter of candidates about the line (of whole families, if there are families) is added, less
    the noise of seeds, which both contain. The interval is never narrower than by candidates alone.
    With one seed it is open.

    Args:
        given: other variables on which y may depend linearly.
    """
    y_sn = points.y_sn if not points.relative else np.log(points.y_sn)
    covariates = [np.ones(len(x_n))] if points.family_n is None else []
    covariates += [
        covariate if points.family_n is None else points.minus_family_mean(covariate)
        for covariate in given
    ]
    x, y_sn = (v if points.family_n is None else points.minus_family_mean(v) for v in (x_n, y_sn))
    before = float(x @ x)
    if covariates:
        basis = np.linalg.svd(np.stack(covariates), full_matrices=False)
        basis = basis[2][basis[1] > 1e-9 * basis[1][0]]
        x, y_sn = (v - (v @ basis.T) @ basis for v in (x, y_sn))
    size = float(x @ x)
    if size <= 1e-9 * max(before, 1.0):
        return Estimate(0.0, None, None)
    slopes = y_sn @ x / size
    value, seeds = float(slopes.mean()), points.seeds
    dof = len(x) - points.families - 1 - len(given)
    one_family = points.family_n is not None and points.families < 2
    if seeds < 2 or dof < 1 or one_family:
        return Estimate(value if np.isfinite(value) else None, None, None)
    residuals = y_sn - slopes[:, None] * x
    common = residuals.mean(0)
    if points.family_n is not None:
        by_family = np.bincount(points.family_n, x * common)
        of_candidates = float(np.sum(by_family**2)) * points.families / (points.families - 1)
        t = special.stdtrit(points.families - 1, 0.975)
    else:
        of_candidates = float(np.sum(common**2)) / dof * size
        t = special.stdtrit(dof, 0.975)
    noise = float(np.sum((residuals - common) ** 2)) / ((seeds - 1) * dof) / seeds * size
    of_seeds = special.stdtrit(seeds - 1, 0.975) ** 2 * float(slopes.var(ddof=1)) / seeds
    of_candidates, noise = t**2 * of_candidates / size**2, t**2 * noise / size**2
    # Values that differ only by rounding have no slope.
    half = np.sqrt(max(of_candidates, of_seeds + max(of_candidates - noise, 0), 1e-24))
    if not np.isfinite(value) or not np.isfinite(half):
        return Estimate(None, None, None)
    return Estimate(value, value - half, value + half)
