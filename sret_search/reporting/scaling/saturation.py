"""What more executions of the same weights bring: a saturating law y = L∞ + B·e^−β.

Only candidates that nothing but depth tells apart are compared: they are a family, and each family
has a limit L∞ of its own; B and β are common. Of one family y is the error or the loss; of several
it is the error or log(loss), so that B is a share of the loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from sret_search.reporting.results import Results
from sret_search.reporting.scaling.fit import Fit, fit
from sret_search.reporting.scaling.interval import Bootstraps, Estimate, estimate
from sret_search.reporting.scaling.law import ALPHA, E, Points
from sret_search.reporting.scaling.recurrence import MOST, depends

Measure = Literal["accuracy", "loss"]
_DEPTHS = 4
"""Fewest depths: the law has three parameters."""


@dataclass(frozen=True)
class Saturation:
    """How a measure grows with executions.

    Attributes:
        doubling: change for each doubling of executions: of accuracy in fractions, of loss as a
            share of it.
        found: the law; None where it is not better than no dependence at all.
        limit: the accuracy or loss that endless executions come to, where there is one family.
        beta: its exponent.
        near: executions that leave a tenth of what the law gains beyond the shallowest.
        deepest: the most executions that any candidate has.
    """

    measure: Measure
    candidates: int
    families: int
    depths: tuple[int, ...]
    doubling: Estimate
    found: Fit | None = None
    drawn: Bootstraps | None = None
    limit: Estimate | None = None
    beta: Estimate | None = None
    near: float | None = None

    @property
    def deepest(self) -> int:
        return self.depths[-1]

    @property
    def facts(self) -> dict[str, Any]:
        """For `summary.json`."""
        names = ("measure", "candidates", "families", "depths", "near")
        return {name: vars(self)[name] for name in names} | {
            "doubling": vars(self.doubling),
            "limit": None if self.limit is None else vars(self.limit),
            "beta": None if self.beta is None else vars(self.beta),
        }


def saturation(results: Results, measure: Measure) -> Saturation | None:
    """The law of a study; None where too few of its candidates differ in depth alone."""
    points = _points(results, measure)
    if points is None:
        return None
    depths = tuple(sorted({int(e) for e in points.sizes_rn[0]}))
    known = Saturation(measure, len(points.y_n), points.families, depths, doubling(points, measure))
    law = fit(points, 0.0)
    if law is None or not depends(law):
        return known
    drawn = Bootstraps.of(law)
    beta = estimate(law, ALPHA, drawn)
    limit = None
    if points.family_n is None:
        limit = estimate(law, E, drawn)
        if measure == "accuracy":
            low = None if limit.high is None else 1 - limit.high
            limit = Estimate(1 - limit.value, low, None if limit.low is None else 1 - limit.low)
    return Saturation(
        *(known.measure, known.candidates, known.families, known.depths, known.doubling),
        found=law,
        drawn=drawn,
        limit=limit,
        beta=beta,
        near=float(depths[0] * 10 ** (1 / law.theta[ALPHA])),
    )


def _points(results: Results, measure: Measure) -> Points | None:
    candidates = results.sound
    if not len(candidates):
        return None
    values = {entry.candidate: entry.values for entry in results.complete}
    keys = [
        json.dumps({a: v for a, v in values[name].items() if not a.endswith(".loops")})
        for name in candidates.candidate
    ]
    table = candidates.assign(family=keys)[["family", "executions", "val_accuracy", "val_loss"]]
    table = table[np.isfinite(table.val_loss) & (table.val_loss > 0)]
    table = table[table.groupby("family").executions.transform("nunique") >= 2]
    if table.executions.nunique() < _DEPTHS:
        return None
    names = list(dict.fromkeys(table.family))
    if len(table) > MOST:
        share = MOST * len(names) // len(table)
        drawn = np.random.default_rng(0).permutation(len(names))[:share]
        names = [names[i] for i in sorted(drawn)]
        table = table[table.family.isin(names)]
    table = table.sort_values(["family", "executions"])
    y = (1 - table.val_accuracy if measure == "accuracy" else table.val_loss).to_numpy()
    several = len(names) > 1
    if several and measure == "loss":
        y = np.log(y)
    family = np.unique(table.family, return_inverse=True)[1] if several else None
    sizes = table.executions.to_numpy(dtype=float)[None]
    relative = measure == "loss" and not several
    return Points(y, np.ones(1), sizes, relative, family)


def doubling(points: Points, measure: Measure) -> Estimate:
    """A straight line over log₂ e; where there are families, it is they that scatter about it."""
    x, y = np.log2(points.sizes_rn[0]), points.y_n
    if points.family_n is None:
        y = np.log(y) if measure == "loss" else y
        x, y = x - x.mean(), y - y.mean()
        blocks = np.arange(len(x))
    else:
        x, y = points.within(x), points.within(y)
        blocks = points.family_n
    slope = float(x @ y / (x @ x))
    score = x * (y - slope * x)
    if points.families > 1:
        by_block = np.bincount(blocks, score)
        free = points.families - 1
        error = np.sqrt(np.sum(by_block**2) * points.families / free) / (x @ x)
    else:
        free = len(x) - points.families - 1
        error = np.sqrt(np.sum((y - slope * x) ** 2) / free / (x @ x))
    half = float(special.stdtrit(free, 0.975) * error)
    ends = (slope - half, slope, slope + half)
    if measure == "accuracy":
        low, value, high = (-end for end in reversed(ends))
    else:
        low, value, high = (float(np.expm1(end)) for end in ends)
    return Estimate(value, low, high)
