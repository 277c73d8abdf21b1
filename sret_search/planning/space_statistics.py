"""Statistics of a space: number of candidates, number within the budget, and their costs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sret_search import wilson
from sret_search.space.candidate import COSTS, Candidate, CostContext, Values
from sret_search.space.screening import screen
from sret_search.space.space import Space
from sret_search.study.study import Study

_DRAWS = 100_000
_POINTS = 4000


@dataclass(frozen=True, slots=True)
class Range:
    """Range of a cost: least, median and largest value."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Closest:
    """Candidate that misses the budget by the smallest factor.

    Attributes:
        values: values of its axes.
        costs: its costs by name.
        reason: text with the limit that it breaks.
    """

    values: Values
    costs: dict[str, float]
    reason: str


@dataclass(frozen=True)
class Survey:
    """Statistics of the candidates of a space.

    Attributes:
        combinations: number of combinations of values of active axes; None if an axis is
            continuous or there are too many to enumerate.
        looked_at: number of evaluated points: all combinations, or random draws.
        exact: whether all combinations were evaluated.
        built: number of evaluated points that can be built.
        feasible: number of built candidates within the budget.
        distinct: number of feasible candidates that differ in what they build.
        costs: ranges of the costs of distinct candidates, by the names in `COSTS`. train_macs is
            included only if the number of training images is known, seconds only if the budget
            limits them, bytes of weights only if the study names them.
        params, macs: costs of at most some thousands of distinct candidates, for a plot
            (candidates,).
        closest: the closest candidate, if none is feasible but some can be built.
    """

    combinations: int | None
    looked_at: int
    exact: bool
    built: int
    feasible: int
    distinct: int
    costs: dict[str, Range]
    params: NDArray[np.float64]
    macs: NDArray[np.float64]
    closest: Closest | None = None

    @property
    def share(self) -> float:
        """Share of feasible candidates among the evaluated points, in [0, 1]."""
        return self.feasible / max(self.looked_at, 1)

    @property
    def share_interval(self) -> tuple[float, float]:
        """95 % interval of the share (Wilson); both ends are equal if the share is exact."""
        if self.exact or not self.looked_at:
            return self.share, self.share
        low, high = (wilson.end(self.share, self.looked_at, z) for z in (-wilson.Z, wilson.Z))
        return max(low, 0.0), min(high, 1.0)


def survey(study: Study) -> Survey:
    """Compute the statistics of a study's space, from all combinations if they can be listed,
    otherwise from random draws."""
    space, terms, screened = study.space, study.terms, study.points.whole
    exact = screened is not None
    if screened is None:
        rng = random.Random(0)
        screened = screen(space, [space.draw(rng) for _ in range(_DRAWS)], terms)
    distinct, looked_at = screened.distinct, len(screened.points)
    costs = {
        name: screened.cost(name, distinct)
        for name, kind in COSTS.items()
        if name in screened.costs or _is_shown(study, name, terms)
    }
    shown = distinct[np.linspace(0, len(distinct) - 1, min(len(distinct), _POINTS)).astype(int)]
    closest = None
    if not screened.feasible.any() and screened.closest is not None:
        closest = _closest(screened.candidate(screened.closest), space, terms)
    return Survey(
        combinations=looked_at if exact else combinations(space),
        looked_at=looked_at,
        exact=exact,
        built=len(screened.candidates),
        feasible=int(screened.feasible.sum()),
        distinct=len(distinct),
        costs={name: _range(column) for name, column in costs.items() if len(column)},
        params=screened.costs["params"][shown],
        macs=screened.costs["macs"][shown],
        closest=closest,
    )


def _is_shown(study: Study, name: str, terms: CostContext) -> bool:
    """Whether the statistics include a cost that is not computed yet."""
    kind = COSTS[name]
    if kind.is_slow or not kind.is_known(terms):
        return False
    return not kind.is_named or name in study.file.objectives


def combinations(space: Space) -> int | None:
    """Number of combinations of the values of active axes; None if an axis is continuous, or if
    the axes with conditions on them have too many combinations to enumerate."""
    if space.size is None:
        return None
    conditions = {other for axis in space.axes.values() for other in axis.when}
    for path, axis in reversed(space.axes.items()):
        if path in conditions and axis.same_as is not None:
            conditions.add(axis.same_as)
        if path in conditions:
            conditions |= set(axis.when)
    axes = {path: axis for path, axis in space.axes.items() if path in conditions}
    points = replace(space, axes=axes).enumerated(100_000)
    if points is None:
        return None
    free = [
        path for path, axis in space.axes.items() if path not in conditions and axis.same_as is None
    ]
    return sum(
        math.prod(len(space.options(path)) for path in free if space.counts(path, values))
        for values in points
    )


def _closest(candidate: Candidate, space: Space, terms: CostContext) -> Closest:
    known = {name: candidate.known(name, terms) for name in COSTS}
    costs = {name: float(value) for name, value in known.items() if value is not None}
    return Closest(candidate.values, costs, space.over_budget(candidate, terms) or "")


def _range(values: NDArray[np.float64]) -> Range:
    return Range(float(values.min()), float(np.median(values)), float(values.max()))
