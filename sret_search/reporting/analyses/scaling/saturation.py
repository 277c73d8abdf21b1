"""The gain of more executions of the same weights: a saturating law y = L∞ + B·e^−β, for e
executions.

Only candidates that differ in depth alone are compared. They are a family. Each family has its
limit L∞; B and β are common to all. With one family, y is the error or the loss. With several, it
is the error or log(loss), so that B is a share of the loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from sret_search.reporting.analyses.scaling.fit import Fit, fit
from sret_search.reporting.analyses.scaling.interval import Bootstraps, Estimate, estimate
from sret_search.reporting.analyses.scaling.law import ALPHA, E, Points
from sret_search.reporting.analyses.scaling.recurrence import MOST, depends, falls
from sret_search.reporting.analyses.scaling.seeds import as_number, block, slope
from sret_search.reporting.results import Results
from sret_search.trials.trial import TrialRecord

Measure = Literal["accuracy", "loss"]
_DEPTHS = 4
"""The fewest depths: the law has three parameters."""


@dataclass(frozen=True)
class Saturation:
    """The growth of a measure with executions.

    Attributes:
        seeds: number of seeds that all of the candidates have.
        doubling: change for each doubling of executions: of accuracy as a fraction, of loss as a
            share of it. With one seed its interval is open.
        fit: the fitted law. None if no gain of more executions is significant.
        limit: the limit of accuracy or loss for infinitely many executions, if there is one family.
        beta: exponent of the law.
        near: number of executions after which a tenth of the law's gain beyond the shallowest depth
            remains.
        deepest: the largest number of executions of a candidate.
    """

    measure: Measure
    candidates: int
    families: int
    seeds: int
    depths: tuple[int, ...]
    doubling: Estimate
    fit: Fit | None = None
    bootstraps: Bootstraps | None = None
    limit: Estimate | None = None
    beta: Estimate | None = None
    near: float | None = None

    @property
    def deepest(self) -> int:
        return self.depths[-1]

    @property
    def facts(self) -> dict[str, Any]:
        """The entries for `summary.json`."""
        names = ("measure", "candidates", "families", "seeds", "depths", "near")
        return {name: vars(self)[name] for name in names} | {
            "doubling": vars(self.doubling),
            "limit": None if self.limit is None else vars(self.limit),
            "beta": None if self.beta is None else vars(self.beta),
        }


@np.errstate(all="ignore")
def saturation(results: Results, measure: Measure) -> Saturation | None:
    """The law of a study. None if too few of its candidates differ in depth alone."""
    points = _points(results, measure)
    if points is None:
        return None
    executions = points.sizes_rn[0]
    depths = tuple(sorted({int(e) for e in executions}))
    trend = slope(points, np.log2(executions))
    without_law = Saturation(
        measure, len(points.y_n), points.families, points.seeds, depths, doubling(trend, measure)
    )
    law = fit(points, 0.0) if falls(trend) else None
    if law is None or not depends(law):
        return without_law
    bootstraps = Bootstraps.draw(law)
    beta = estimate(law, ALPHA, bootstraps)
    limit = estimate(law, E, bootstraps) if points.family_n is None else None
    if limit is not None and measure == "accuracy":
        limit = Estimate(
            *(None if v is None else 1 - v for v in (limit.value, limit.high, limit.low))
        )
    near = None if beta.value is None else float(depths[0] * 10 ** (1 / beta.value))
    return replace(without_law, fit=law, bootstraps=bootstraps, limit=limit, beta=beta, near=near)


def _points(results: Results, measure: Measure) -> Points | None:
    sound = set(results.sound.candidate)
    losses: dict[str, dict[int, float]] = {}
    accuracies: dict[str, dict[int, float]] = {}
    entries = {entry.candidate: entry for entry in results.complete if entry.candidate in sound}
    for entry in results.complete:
        if entry.candidate in sound:
            losses.setdefault(entry.candidate, {})[entry.seed] = as_number(entry.result.val_loss)
            accuracy = as_number(entry.result.val_accuracy)
            accuracies.setdefault(entry.candidate, {})[entry.seed] = accuracy
    finite = {
        name: by_seed
        for name, by_seed in losses.items()
        if min(by_seed.values()) > 0
        and np.isfinite([*by_seed.values(), *accuracies[name].values()]).all()
    }
    names, seeds = block(finite, _DEPTHS)
    family = {name: _family(entries[name]) for name in names}
    depth = {name: int(entries[name].cost["executions"]) for name in names}
    depths_of: dict[str, set[int]] = {}
    for name in names:
        depths_of.setdefault(family[name], set()).add(depth[name])
    names = [name for name in names if len(depths_of[family[name]]) > 1]
    if len({depth[name] for name in names}) < _DEPTHS:
        return None
    families = list(dict.fromkeys(family[name] for name in names))
    if len(names) > MOST:
        share = max(MOST * len(families) // len(names), 1)
        drawn = np.random.default_rng(0).permutation(len(families))[:share]
        families = [families[i] for i in sorted(drawn)]
    place = {label: i for i, label in enumerate(families)}
    names = [name for name in names if family[name] in place]
    names.sort(key=lambda name: (place[family[name]], depth[name]))
    several = len(families) > 1
    measured = losses if measure == "loss" else accuracies
    y = np.array([[measured[name][seed] for name in names] for seed in seeds], dtype=float)
    if measure == "accuracy":
        y = 1 - y
    elif several:
        y = np.log(y)
    sizes = np.array([[float(depth[name]) for name in names]])
    numbers = np.array([place[family[name]] for name in names]) if several else None
    return Points(y, np.ones(1), sizes, measure == "loss" and not several, numbers)


def _family(entry: TrialRecord) -> str:
    """The family of a candidate: its values of all axes except loops."""
    return json.dumps({a: v for a, v in entry.values.items() if not a.endswith(".loops")})


def doubling(trend: Estimate, measure: Measure) -> Estimate:
    """The slope of errors or of log losses over log₂ executions, as a change of the measure."""
    if measure == "accuracy":
        turned = (trend.value, trend.high, trend.low)
        return Estimate(*(None if end is None else -end for end in turned))
    ends = (
        None if end is None else float(np.expm1(end))
        for end in (trend.value, trend.low, trend.high)
    )
    return Estimate(*(end if end is not None and np.isfinite(end) else None for end in ends))
