"""The law of recurrence, fitted to a study's candidates: the worth of a loop.

    L = E + A·(Σ_r r^φ·N_r)^−α

L is the validation cross-entropy. N_r is the number of parameters that run r times, N_once for r =
1. With φ = 0 loops are worth nothing, with φ = 1 as much as additional weights (2604.21106). All
candidates see equally many images, so E contains the gain of more images (a law of fixed data).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from sret_search.cost import params_by_runs
from sret_search.reporting.analyses.elastic.numbers import has_elastic
from sret_search.reporting.analyses.scaling.fit import Fit, fit, solve
from sret_search.reporting.analyses.scaling.interval import Bootstraps, Estimate, estimate
from sret_search.reporting.analyses.scaling.law import ALPHA, PHI, E, Points
from sret_search.reporting.analyses.scaling.seeds import as_number, block, slope
from sret_search.reporting.results import Results
from sret_search.trials.trial import TrialRecord, by_candidate

MOST = 1000
"""The most candidates that a law is fitted to. From more, this number is drawn at random."""
_FEWEST = 8
_HELD_OUT = 0.2
_KINDS = 6
"""The largest number of values of an axis that may each have a φ."""
_SIZES = 3
_APART = 1.05
"""The factor from which on two numbers of parameters count as two sizes."""

Without = Literal["one size", "one seed", "no dependence"]
"""The reason why enough candidates have no law."""


@dataclass(frozen=True)
class Trained:
    """A candidate, or a twin, with its validation loss by seed."""

    entry: TrialRecord
    losses: dict[int, float]

    @property
    def loss(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.losses.values())))


@dataclass(frozen=True)
class HeldOut:
    """The candidates of the largest budgets, predicted by a law that was fitted to the others.

    Attributes:
        train_macs: least training MACs of these candidates.
        error: root mean square of log(measured / predicted), for φ fitted, 0 and 1.
        bias: mean of log(measured / predicted), for φ fitted. Positive if worse than predicted.
        inside: the root mean square for the candidates to which the law was fitted.
    """

    candidates: int
    train_macs: int
    error: dict[str, float]
    bias: float
    inside: float


@dataclass(frozen=True)
class Kind:
    """The law of the candidates that share a value of an axis."""

    value: Any
    candidates: int
    phi: Estimate


@dataclass(frozen=True)
class Recurrence:
    """The law with its certainty.

    Attributes:
        seeds: number of seeds that all of the candidates have.
        left_out: number of candidates to which the law was not fitted.
        phi: None if no candidate runs any weights twice.
        a: A, with M in parameters. None if α is not estimated.
        explained: share of the variance of log losses that the law explains.
        scatter: robust standard deviation of log(measured / law).
        loops: how often weights run, over all candidates.
        has_unlooped: whether a candidate runs none of its weights twice.
        span: the largest number of parameters of a candidate divided by the smallest.
        axis: the axis with the largest significant difference of φ, or None.
        kinds: the law for each value of this axis.
    """

    fit: Fit
    bootstraps: Bootstraps
    trained: tuple[Trained, ...]
    seeds: int
    left_out: int
    phi: Estimate | None
    alpha: Estimate
    e: Estimate
    a: float | None
    explained: float
    scatter: float
    held_out: HeldOut | None
    loops: tuple[int, ...]
    has_unlooped: bool
    span: float
    axis: str | None = None
    kinds: tuple[Kind, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The entries for `summary.json`."""
        names = ("seeds", "left_out", "a", "explained", "scatter")
        return {name: vars(self)[name] for name in names} | {
            "candidates": len(self.trained),
            "phi": None if self.phi is None else vars(self.phi),
            "alpha": vars(self.alpha),
            "e": vars(self.e),
            "held_out": None if self.held_out is None else vars(self.held_out),
            "axis": self.axis,
            "kinds": [vars(kind) | {"phi": vars(kind.phi)} for kind in self.kinds],
        }


def trained(results: Results) -> list[Trained]:
    """Every candidate and twin that has a validation loss and was trained as long as most.

    Elastic candidates are left out. Only a share of their training serves the greatest depth, where
    their loss is measured, so loops would seem to be worth less.
    """
    sound = set(results.sound.candidate)
    searched = (entry for entry in results.complete if entry.candidate in sound)
    twins = (e for trials in results.having("twin").values() for e in trials)
    longer = "iso_train_macs"  # for as many multiply-adds, and so on more images
    entries = by_candidate((*searched, *(e for e in twins if e.control != longer)))
    if has_elastic(results):
        entries = {n: group for n, group in entries.items() if not group[0].job.recipe.is_elastic}
    epochs = [trials[0].result.epochs for trials in entries.values()]
    usual = max(set(epochs), key=epochs.count, default=None)
    candidates = []
    for trials in entries.values():
        losses = {entry.seed: as_number(entry.result.val_loss) for entry in trials}
        is_usual = trials[0].result.epochs == usual
        if is_usual and min(losses.values()) > 0 and np.isfinite(sum(losses.values())):
            candidates.append(Trained(trials[0], losses))
    return candidates


@np.errstate(all="ignore")
def recurrence(results: Results) -> Recurrence | Without | None:
    """The law of a study. A reason if there are enough candidates but no law. None with too few
    candidates."""
    candidates = trained(results)
    if len(candidates) < _FEWEST:
        return None
    by_name = {candidate.entry.candidate: candidate for candidate in candidates}
    names, seeds = block({name: candidate.losses for name, candidate in by_name.items()}, _FEWEST)
    chosen = [
        Trained(by_name[n].entry, {seed: by_name[n].losses[seed] for seed in seeds}) for n in names
    ]
    if len(chosen) > MOST:
        drawn_places = np.sort(np.random.default_rng(0).permutation(len(chosen))[:MOST])
        chosen = [chosen[i] for i in drawn_places]
    if len(chosen) < _FEWEST:
        return None
    points = as_points(chosen)
    sizes = points.sizes_rn.sum(0)
    if _distinct(sizes) < _SIZES:
        return "one size"
    if points.seeds < 2:
        return "one seed"
    trend = by_size(points)
    law = fit(points, None if len(points.runs_r) > 1 else 0.0) if falls(trend) else None
    if law is None or not depends(law):
        return "no dependence"
    bootstraps = Bootstraps.draw(law)
    axis, kinds = _kinds(results, chosen, points) if law.free[PHI] else (None, ())
    alpha = estimate(law, ALPHA, bootstraps)
    variance = float(np.var(np.log(points.y_n)))
    return Recurrence(
        fit=law,
        bootstraps=bootstraps,
        trained=tuple(chosen),
        seeds=points.seeds,
        left_out=len(candidates) - len(chosen),
        phi=estimate(law, PHI, bootstraps) if law.free[PHI] else None,
        alpha=alpha,
        e=estimate(law, E, bootstraps),
        a=None if alpha.value is None else float(law.theta[1] * law.centre**alpha.value),
        explained=max(0.0, 1 - float(np.var(law.residuals)) / max(variance, 1e-300)),
        scatter=law.scale,
        held_out=_held_out(chosen, points),
        loops=tuple(int(r) for r in points.runs_r),
        has_unlooped=bool(np.any(points.sizes_rn[points.runs_r > 1].sum(0) == 0)),
        span=float(sizes.max() / sizes.min()),
        axis=axis,
        kinds=kinds,
    )


def _distinct(sizes_n: np.ndarray) -> int:
    """The number of sizes. Each is at least a few per cent larger than the size before."""
    count, last = 0, 0.0
    for size in np.sort(sizes_n):
        if size > _APART * last:
            count, last = count + 1, size
    return count


def as_points(chosen: Iterable[Trained]) -> Points:
    """The points to which the law is fitted."""
    chosen = list(chosen)
    sizes = [params_by_runs(candidate.entry.architecture) for candidate in chosen]
    runs = sorted({r for by_runs in sizes for r in by_runs})
    sizes_rn = np.array([[by_runs.get(r, 0) for by_runs in sizes] for r in runs], dtype=float)
    losses = np.array([list(candidate.losses.values()) for candidate in chosen]).T
    return Points(losses, np.array(runs, dtype=float), sizes_rn, relative=True)


def by_size(points: Points) -> Estimate:
    """The slope of log loss against log parameters, at equal runs, over seeds and candidates. The
    worth of loops is measured in parameters, so this slope must not be 0."""
    sizes = points.sizes_rn.sum(0)
    runs = np.log(points.runs_r) @ points.sizes_rn / sizes
    return slope(points, np.log(sizes), [runs] if len(points.runs_r) > 1 else ())


def falls(trend: Estimate) -> bool:
    """Whether a slope is significantly below 0."""
    return trend.high is not None and trend.high < 0


def depends(law: Fit) -> bool:
    """Whether a law is significantly better than a constant, at 5 % for independent candidates. The
    test does not allow for deviations that candidates share through their seeds. So a law is
    reported only if losses also fall significantly (`falls`) with size or depth."""
    start = np.array([[np.median(law.points.y_n), 0.0, 0.0, 1.0]])
    only_e = np.array([law.free[E], False, False, False])
    _, loss = solve(law.points, law.centre, start, only_e, law.delta)
    extra = int(law.free[1:].sum())
    better = 2 * (float(loss[0]) - law.loss) / law.spread / extra
    return bool(law.theta[1] > 0 and better > special.fdtri(extra, law.dof, 0.95))


def _held_out(chosen: list[Trained], points: Points) -> HeldOut | None:
    budgets = np.array([candidate.entry.train_macs for candidate in chosen])
    bar = int(np.quantile(budgets, 1 - _HELD_OUT, method="higher"))
    large = budgets >= bar
    if large.sum() < 2 or (~large).sum() < _FEWEST:
        return None
    fits = {"fitted": fit(points.only(~large))}
    fits |= {f"{phi:g}": fit(points.only(~large), phi) for phi in (0.0, 1.0)}
    errors = {}
    for name, law in fits.items():
        if law is None:
            return None
        foretold = points.predicted(law.theta[None], law.centre)[0]
        errors[name] = np.log(points.y_n) - np.log(np.maximum(foretold, 1e-12))
    return HeldOut(
        candidates=int(large.sum()),
        train_macs=bar,
        error={name: _rms(values[large]) for name, values in errors.items()},
        bias=float(np.mean(errors["fitted"][large])),
        inside=_rms(errors["fitted"][~large]),
    )


def _kinds(
    results: Results, chosen: list[Trained], points: Points
) -> tuple[str | None, tuple[Kind, ...]]:
    """The axis outside the law by which φ differs most, with the law of each value. None and empty
    if no difference is significant."""
    groups: dict[str, list[np.ndarray]] = {}
    for axis, declared in results.study.space.axes.items():
        is_size = axis.endswith((".loops", ".width", ".unique", ".mlp_ratio"))
        if is_size or declared.same_as is not None:
            continue
        values = np.array([repr(candidate.entry.values.get(axis)) for candidate in chosen])
        groups[axis] = [values == kind for kind in sorted(set(values))]
    differs, phis = differing(points, groups)
    if differs is None:
        return None, ()
    kinds = []
    for mask, phi in zip(groups[differs], phis, strict=True):
        value = chosen[int(np.flatnonzero(mask)[0])].entry.values.get(differs)
        kinds.append(Kind(value, int(mask.sum()), phi))
    return differs, tuple(kinds)


def differing(
    points: Points, groups: dict[str, list[np.ndarray]]
) -> tuple[str | None, list[Estimate]]:
    """The axis between whose values φ differs most, significantly at 5 %, and φ at each value. None
    and empty if there is no such axis.

    Args:
        groups: masks of the candidates for each value, by axis.
    """
    phis_of: dict[str, list[Estimate]] = {}
    for axis, kinds in groups.items():
        enough = all(mask.sum() >= 2 * _FEWEST for mask in kinds)
        if not 2 <= len(kinds) <= _KINDS or not enough:
            continue
        parts = [points.only(mask) for mask in kinds]
        laws = [fit(part) for part in parts if falls(by_size(part))]
        dependent = [law for law in laws if law is not None and depends(law)]
        if len(dependent) == len(kinds):
            phis_of[axis] = [estimate(law, PHI, Bootstraps.draw(law)) for law in dependent]
    pairs = {axis: list(itertools.combinations(phis, 2)) for axis, phis in phis_of.items()}
    distances = {axis: max(_distance(*pair) for pair in of_axis) for axis, of_axis in pairs.items()}
    if not distances:
        return None, []
    widest = max(distances, key=lambda name: distances[name])
    # Bonferroni's correction of intervals at 95 %, for every pair of every axis.
    tests, dof = sum(map(len, pairs.values())), points.seeds - 1
    bar = special.stdtrit(dof, 1 - 0.025 / tests) / special.stdtrit(dof, 0.975)
    return (widest, phis_of[widest]) if distances[widest] > bar else (None, [])


def _distance(first: Estimate, second: Estimate) -> float:
    """A difference divided by the half width of its interval, from the intervals of both estimates
    (MOVER: Zou and Donner, Statistics in Medicine 27, 2008, 1693). 0 if an estimate or a needed end
    of an interval is None."""
    if first.value is None or second.value is None:
        return 0.0
    low, high = sorted((first, second), key=lambda estimate: estimate.value or 0.0)
    if low.value is None or high.value is None or low.high is None or high.low is None:
        return 0.0
    half = np.hypot(low.high - low.value, high.value - high.low)
    return float((high.value - low.value) / max(half, 1e-12))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
