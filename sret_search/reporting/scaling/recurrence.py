"""What a loop is worth: the law of recurrence, fitted to a study's candidates.

    L = E + A·(Σ_r r^φ·N_r)^−α

with L the validation cross-entropy and N_r the parameters that run r times: N_once where r is 1.
At φ = 0 loops are worth nothing, at φ = 1 as much as weights of their own (2604.21106). All
candidates see equally many images, so that what more of them would gain is in E: a law of fixed
data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from sret_search.architecture import Architecture
from sret_search.cost import params_by_runs
from sret_search.reporting.elastic import has_elastic
from sret_search.reporting.results import Results
from sret_search.reporting.scaling.fit import Fit, fit, solve
from sret_search.reporting.scaling.interval import Bootstraps, Estimate, estimate
from sret_search.reporting.scaling.law import ALPHA, PHI, E, Points
from sret_search.search.entry import Entry

MOST = 1000
"""Candidates that a law is fitted to; of more, these many drawn at random."""
_FEWEST = 8
_HELD_OUT = 0.2
_KINDS = 6
"""Values of an axis that may have a φ each."""


@dataclass(frozen=True)
class Trained:
    """A candidate, or a twin, with the mean of its loss over seeds."""

    entry: Entry
    loss: float


@dataclass(frozen=True)
class HeldOut:
    """The candidates of the largest budgets, foretold by the law of the others.

    Attributes:
        train_macs: from which on they are the largest.
        error: root mean square of log(measured / foretold), for φ fitted, 0 and 1.
        bias: its mean, for φ fitted: above 0 they were worse than foretold.
        inside: the root mean square of those that it was fitted to.
    """

    candidates: int
    train_macs: int
    error: dict[str, float]
    bias: float
    inside: float


@dataclass(frozen=True)
class Kind:
    """The law of the candidates that have one value of an axis."""

    value: Any
    candidates: int
    phi: Estimate


@dataclass(frozen=True)
class Recurrence:
    """The law and how far it is known.

    Attributes:
        left_out: candidates beyond those that it is fitted to.
        phi: None where no candidate runs any weights twice.
        a: A, with M in parameters.
        explained: share of the variance of log losses.
        scatter: robust standard deviation of log(measured / law).
        bic: of φ fitted, 0 and 1, each less the lowest.
        loops: how often weights run, over all candidates.
        has_unlooped: whether a candidate runs none of its weights twice.
        span: the most parameters of a candidate over the fewest.
        axis: which the law differs most by, if by any; with a law for each of its values.
    """

    found: Fit
    drawn: Bootstraps
    trained: tuple[Trained, ...]
    left_out: int
    phi: Estimate | None
    alpha: Estimate
    e: Estimate
    a: float
    explained: float
    scatter: float
    bic: dict[str, float]
    held_out: HeldOut | None
    loops: tuple[int, ...]
    has_unlooped: bool
    span: float
    axis: str | None = None
    kinds: tuple[Kind, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """For `summary.json`."""
        plain = {name: vars(self)[name] for name in ("left_out", "a", "explained", "scatter")}
        return plain | {
            "candidates": len(self.trained),
            "phi": None if self.phi is None else vars(self.phi),
            "alpha": vars(self.alpha),
            "e": vars(self.e),
            "bic": self.bic,
            "held_out": None if self.held_out is None else vars(self.held_out),
            "axis": self.axis,
            "kinds": [vars(kind) | {"phi": vars(kind.phi)} for kind in self.kinds],
        }


def trained(results: Results) -> list[Trained]:
    """Every candidate and twin with a validation loss, that was trained as long as most.

    Elastic ones are left out: a training that serves several depths has a lesser share of itself
    for the deepest, where its loss is measured, and would be taken for loops that are worth less.
    """
    entries: dict[str, list[Entry]] = {}
    sound = set(results.sound.candidate)
    own = (entry for entry in results.complete if entry.candidate in sound)
    twins = (e for of in results.having("twin").values() for e in of)
    longer = "iso_train_macs"  # for as many multiply-adds, and so on more images
    for entry in (*own, *(e for e in twins if e.about["control"] != longer)):
        entries.setdefault(entry.candidate, []).append(entry)
    if has_elastic(results):
        entries = {n: of for n, of in entries.items() if not of[0].job.recipe.is_elastic}
    epochs = [of[0].result.get("epochs") for of in entries.values()]
    usual = max(set(epochs), key=epochs.count, default=None)
    found = []
    for of in entries.values():
        loss = float(np.mean([entry.result["val_loss"] for entry in of]))
        if of[0].result.get("epochs") == usual and np.isfinite(loss) and loss > 0:
            found.append(Trained(of[0], loss))
    return found


def recurrence(results: Results) -> Recurrence | None:
    """The law of a study; None where it has too few candidates, or no loss that depends on
    parameters and loops."""
    every = trained(results)
    if len(every) < _FEWEST:
        return None
    chosen = every
    if len(every) > MOST:
        kept = np.sort(np.random.default_rng(0).permutation(len(every))[:MOST])
        chosen = [every[i] for i in kept]
    points = as_points(chosen)
    free = fit(points, None if len(points.runs_r) > 1 else 0.0)
    if free is None or not depends(free):
        return None
    laws = {"fitted": free} | {f"{phi:g}": fit(points, phi) for phi in (0.0, 1.0)}
    bic = {
        name: 2 * law.loss / free.spread + int(law.free.sum()) * np.log(len(chosen))
        for name, law in laws.items()
        if law is not None
    }
    drawn = Bootstraps.of(free)
    sizes = points.sizes_rn.sum(0)
    axis, kinds = _kinds(results, chosen, points, free) if free.free[PHI] else (None, ())
    return Recurrence(
        found=free,
        drawn=drawn,
        trained=tuple(chosen),
        left_out=len(every) - len(chosen),
        phi=estimate(free, PHI, drawn) if free.free[PHI] else None,
        alpha=estimate(free, ALPHA, drawn),
        e=estimate(free, E, drawn),
        a=float(free.theta[1] * free.centre ** free.theta[ALPHA]),
        explained=max(0.0, 1 - float(np.var(free.residuals) / np.var(np.log(points.y_n)))),
        scatter=free.scale,
        bic={name: float(value - min(bic.values())) for name, value in bic.items()},
        held_out=_held_out(chosen, points),
        loops=tuple(int(r) for r in points.runs_r),
        has_unlooped=bool(np.any(points.sizes_rn[points.runs_r > 1].sum(0) == 0)),
        span=float(sizes.max() / sizes.min()),
        axis=axis,
        kinds=kinds,
    )


def as_points(chosen: Iterable[Trained]) -> Points:
    """What the law is fitted to."""
    chosen = list(chosen)
    sizes = [
        params_by_runs(Architecture.from_dict(one.entry.plain["architecture"])) for one in chosen
    ]
    runs = sorted({r for own in sizes for r in own})
    sizes_rn = np.array([[own.get(r, 0) for own in sizes] for r in runs], dtype=float)
    losses = np.array([one.loss for one in chosen])
    return Points(losses, np.array(runs, dtype=float), sizes_rn, relative=True)


def depends(found: Fit) -> bool:
    """Whether a law is better than a constant, significantly at 5 %."""
    start = np.array([[np.median(found.points.y_n), 0.0, 0.0, 1.0]])
    ones = np.ones((1, len(found.points.y_n)))
    only_e = np.array([[found.free[E], False, False, False]])
    _, loss = solve(found.points, found.centre, start, only_e, ones, found.delta)
    more = int(found.free[1:].sum())
    better = 2 * (float(loss[0]) - found.loss) / found.spread / more
    return bool(found.theta[1] > 0 and better > special.fdtri(more, found.dof, 0.95))


def _held_out(chosen: list[Trained], points: Points) -> HeldOut | None:
    budgets = np.array([one.entry.train_macs for one in chosen])
    bar = int(np.quantile(budgets, 1 - _HELD_OUT, method="higher"))
    large = budgets >= bar
    if large.sum() < 2 or (~large).sum() < _FEWEST:
        return None
    fits = {"fitted": fit(points.only(~large))}
    fits |= {f"{phi:g}": fit(points.only(~large), phi) for phi in (0.0, 1.0)}
    off = {}
    for name, law in fits.items():
        if law is None:
            return None
        foretold = points.predicted(law.theta[None], law.centre)[0]
        off[name] = np.log(points.y_n / foretold)
    return HeldOut(
        candidates=int(large.sum()),
        train_macs=bar,
        error={name: _rms(values[large]) for name, values in off.items()},
        bias=float(np.mean(off["fitted"][large])),
        inside=_rms(off["fitted"][~large]),
    )


def _kinds(
    results: Results, chosen: list[Trained], points: Points, free: Fit
) -> tuple[str | None, tuple[Kind, ...]]:
    """The axis, of those that the law does not know, that laws of their own explain most by."""
    best, least = None, 2 * free.loss / free.spread + 4 * np.log(len(chosen))
    for axis, about in results.description["axes"].items():
        is_size = axis.endswith((".loops", ".width", ".unique", ".mlp_ratio"))
        if is_size or about["same_as"] is not None:
            continue
        values = np.array([repr(one.entry.values.get(axis)) for one in chosen])
        kinds = sorted(set(values))
        enough = all((values == kind).sum() >= 2 * _FEWEST for kind in kinds)
        if not 2 <= len(kinds) <= _KINDS or not enough:
            continue
        fits = [fit(points.only(values == kind)) for kind in kinds]
        if any(law is None or not depends(law) for law in fits):
            continue
        own = [law for law in fits if law is not None]
        # The scale of all, or a law of larger scatter would look better.
        loss = sum(_loss(law, free.delta) for law in own)
        bic = 2 * loss / free.spread + 4 * len(own) * np.log(len(chosen))
        if bic < least:
            best, least = (axis, values, kinds, own), bic
    if best is None:
        return None, ()
    axis, values, kinds, own = best
    found = []
    for kind, law in zip(kinds, own, strict=True):
        value = chosen[int(np.flatnonzero(values == kind)[0])].entry.values.get(axis)
        phi = estimate(law, PHI, Bootstraps.of(law))
        found.append(Kind(value, int((values == kind).sum()), phi))
    return axis, tuple(found)


def _loss(law: Fit, delta: float) -> float:
    bounded = np.minimum(np.abs(law.residuals), delta)
    return float(np.sum(bounded * (np.abs(law.residuals) - bounded / 2)))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
