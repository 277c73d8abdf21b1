"""What a space holds: how many candidates, how many fit the budget, and what those cost."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sret_search import wilson
from sret_search.space.candidate import COSTS, Candidate, CostContext, Values
from sret_search.space.feasible_set import AT_MOST
from sret_search.space.screening import screen
from sret_search.space.space import Space
from sret_search.study.study import Study

_DRAWS = 100_000
_POINTS = 4000


@dataclass(frozen=True, slots=True)
class Range:
    """Of one cost."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Closest:
    """The candidate that misses the budget by the smallest factor: its values, its costs by
    name, and which limit it breaks."""

    values: Values
    costs: dict[str, float]
    reason: str


@dataclass(frozen=True)
class Survey:
    """What was found among the candidates of a space.

    Attributes:
        combinations: of values of the axes whose conditions hold; None where an axis is
            continuous.
        looked_at: all of them, or so many random draws.
        exact: whether it was all of them.
        built: of those looked at, how many can be built.
        feasible: of those built, how many are within the budget.
        distinct: of those feasible, how many differ in what they build.
        costs: of those distinct, by the names in `COSTS` (train_macs only where the number of
            training images is known, seconds only where the budget has them).
        params, macs: of at most some thousands of those distinct, for a plot.
        closest: where nothing is feasible and something can be built.
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
        """Of the candidates looked at, the part that is feasible."""
        return self.feasible / max(self.looked_at, 1)

    @property
    def share_interval(self) -> tuple[float, float]:
        """A 95 % interval of the share (Wilson); a point where it is exact."""
        if self.exact or not self.looked_at:
            return self.share, self.share
        low, high = (wilson.end(self.share, self.looked_at, z) for z in (-wilson.Z, wilson.Z))
        return max(low, 0.0), min(high, 1.0)


def survey(study: Study, at_most: int = AT_MOST) -> Survey:
    """Look at every candidate of a finite space of at most so many; else at random draws, no
    more either."""
    space, terms = study.space, study.terms
    if at_most >= AT_MOST:
        screened = study.points.whole
    else:
        every = space.enumerated(at_most)
        screened = None if every is None else screen(space, every, terms)
    exact = screened is not None
    if screened is None:
        rng = random.Random(0)
        points = [space.draw(rng) for _ in range(min(_DRAWS, at_most))]
        screened = screen(space, points, terms)
    found, looked_at = screened.distinct, len(screened.points)
    costs = {
        name: screened.cost(name, found)
        for name, kind in COSTS.items()
        if name in screened.costs or (kind.is_known(terms) and not kind.is_slow)
    }
    shown = found[np.linspace(0, len(found) - 1, min(len(found), _POINTS)).astype(int)]
    closest = None
    if not screened.feasible.any() and screened.closest is not None:
        closest = _closest(screened.candidate(screened.closest), space, terms)
    return Survey(
        combinations=looked_at if exact else combinations(space),
        looked_at=looked_at,
        exact=exact,
        built=len(screened.candidates),
        feasible=int(screened.feasible.sum()),
        distinct=len(found),
        costs={name: _range(column) for name, column in costs.items() if len(column)},
        params=screened.costs["params"][shown],
        macs=screened.costs["macs"][shown],
        closest=closest,
    )


def combinations(space: Space) -> int | None:
    """Combinations of the values of axes whose conditions hold; None where one is continuous, or
    where conditions are on too many values to be gone through."""
    if space.size is None:
        return None
    asked = {other for axis in space.axes.values() for other in axis.when}
    for path, axis in reversed(space.axes.items()):
        if path in asked and axis.same_as is not None:
            asked.add(axis.same_as)
        if path in asked:
            asked |= set(axis.when)
    axes = {path: axis for path, axis in space.axes.items() if path in asked}
    points = replace(space, axes=axes).enumerated(100_000)
    if points is None:
        return None
    free = [path for path, axis in space.axes.items() if path not in asked and axis.same_as is None]
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
