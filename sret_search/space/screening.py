"""Screening of points of a space: the candidates that can be built, fit the budget, and differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.architecture.parts import CACHED
from sret_search.cost import cost
from sret_search.job import Recipe
from sret_search.space.candidate import COSTS, COUNTS, Candidate, CostContext, Values
from sret_search.space.space import Space

Rows = NDArray[np.int64]
"""Indices of candidates."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Screened:
    """Points of a space, and the candidates that can be built.

    Attributes:
        space: the space.
        terms: context of the costs.
        points: all points, as values of their active axes.
        candidates: the candidates that can be built, in the order of the points.
    """

    space: Space
    terms: CostContext
    points: Sequence[Values]
    candidates: Sequence[Candidate]

    @cached_property
    def identity(self) -> Rows:
        """Number of each candidate (candidates,). Two candidates have equal numbers if and only if
        they build and train the same."""
        numbers: dict[Any, int] = {}
        built = (
            (c.architecture.built, _trained(c.recipe, c.architecture.loops))
            for c in self.candidates
        )
        return np.array([numbers.setdefault(each, len(numbers)) for each in built], np.int64)

    @cached_property
    def costs(self) -> dict[str, Numbers]:
        """Known costs by name (candidates,): the counts, and costs that the budget limits. A slow
        cost is infinite for candidates that exceed another limit."""
        counted = (cost(c.architecture) for c in self.candidates)
        counts = [[float(getattr(each, name)) for name in COUNTS] for each in counted]
        columns = np.array(counts, np.float64).reshape(-1, len(COUNTS)).T
        costs = dict(zip(COUNTS, columns, strict=True))
        limited = [name for name in COSTS if name in self.space.limits and name not in COUNTS]
        for name in sorted(limited, key=lambda name: COSTS[name].is_slow):
            if COSTS[name].is_known(self.terms):
                # A slow cost is not computed for candidates that exceed another limit.
                among = (
                    self._within(costs)
                    if COSTS[name].is_slow
                    else np.ones(len(self.candidates), bool)
                )
                costs[name] = np.full(len(self.candidates), np.inf)
                costs[name][among] = self._worked_out(name, np.flatnonzero(among))
        return costs

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each candidate is within the limits on known costs (candidates,)."""
        return self._within(self.costs)

    @cached_property
    def distinct(self) -> Rows:
        """Places of the distinct feasible candidates, in order. Among equal candidates it is the
        first."""
        places = np.flatnonzero(self.feasible)
        _, first = np.unique(self.identity[places], return_index=True)
        rows: Rows = places[np.sort(first)]
        return rows

    @cached_property
    def closest(self) -> int | None:
        """Place of the candidate that misses the budget by the smallest factor; None without
        candidates."""
        if not len(self.candidates):
            return None
        worst = np.ones(len(self.candidates))
        for name, limit in self.space.limits.items():
            value = self.costs.get(name)
            if value is not None and limit.max is not None:
                worst = np.maximum(worst, value / max(limit.max, 1e-9))
            if value is not None and limit.min is not None:
                worst = np.maximum(worst, limit.min / np.maximum(value, 1e-9))
        return int(worst.argmin())

    def on(self, terms: CostContext) -> Screened:
        """The same candidates with another context of the costs."""
        other = replace(self, terms=terms)
        if "identity" in vars(self):
            vars(other)["identity"] = self.identity
        return other

    def cost(self, name: str, places: Rows) -> Numbers:
        """Known cost of some candidates (places,), from `costs` or computed now."""
        known = self.costs.get(name)
        return self._worked_out(name, places) if known is None else known[places]

    def candidate(self, place: int) -> Candidate:
        """Candidate at a place. It is the same object at each call, so that its name, which takes
        long, is computed once."""
        return self.candidates[place]

    def _within(self, costs: dict[str, Numbers]) -> NDArray[np.bool_]:
        fits = np.ones(len(self.candidates), bool)
        for name, limit in self.space.limits.items():
            if name in costs:
                fits &= costs[name] <= (np.inf if limit.max is None else limit.max)
                fits &= costs[name] >= (-np.inf if limit.min is None else limit.min)
        return fits

    def _worked_out(self, name: str, places: Rows) -> Numbers:
        """Compute a cost of some candidates (places,), once for all that build the same."""
        of = COSTS[name].of
        assert of is not None, "a count, which is in `costs`"
        known: dict[int, float] = {}
        for place in places.tolist():
            kind = int(self.identity[place])
            if kind not in known:
                known[kind] = float(of(self.candidates[place], self.terms))
        return np.array([known[kind] for kind in self.identity[places].tolist()], np.float64)


def screen(space: Space, points: Sequence[Values], terms: CostContext) -> Screened:
    """Build the candidates of some points. Points that break a rule are left out.

    Args:
        points: values of the active axes of each point.
    """
    candidates = []
    for values in points:
        with suppress(ValueError):
            candidates.append(space.build(values))
    return Screened(space, terms, points, candidates)


@lru_cache(maxsize=CACHED)
def _trained(recipe: Recipe, loops: int) -> str:
    return json.dumps(recipe.built(loops), sort_keys=True)
