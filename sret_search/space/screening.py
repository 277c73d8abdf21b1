"""Which of many points of a space can be built, fit the budget, and differ in what they build."""

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
"""Places of candidates."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Screened:
    """Points of a space, and the candidates that can be built.

    Attributes:
        points: all of them, by the values of their active axes.
        candidates: those that can be built, in order.
    """

    space: Space
    terms: CostContext
    points: Sequence[Values]
    candidates: Sequence[Candidate]

    @cached_property
    def identity(self) -> Rows:
        """A number that two candidates have in common just if they build the same (candidates,)."""
        numbers: dict[Any, int] = {}
        built = (
            (c.architecture.built, _trained(c.recipe, c.architecture.loops))
            for c in self.candidates
        )
        return np.array([numbers.setdefault(each, len(numbers)) for each in built], np.int64)

    @cached_property
    def costs(self) -> dict[str, Numbers]:
        """What is counted, and what the budget limits, by name, as far as it is known."""
        counted = (cost(c.architecture) for c in self.candidates)
        counts = [[float(getattr(each, name)) for name in COUNTS] for each in counted]
        columns = np.array(counts, np.float64).reshape(-1, len(COUNTS)).T
        costs = dict(zip(COUNTS, columns, strict=True))
        limited = [name for name in COSTS if name in self.space.limits and name not in COUNTS]
        for name in sorted(limited, key=lambda name: COSTS[name].is_slow):
            if COSTS[name].is_known(self.terms):
                # What is out of the question anyway is left out of what takes long.
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
        """Which candidates are within the budget, as far as costs are known."""
        return self._within(self.costs)

    @cached_property
    def distinct(self) -> Rows:
        """Places of the candidates that are feasible, each first of its kind, in order."""
        places = np.flatnonzero(self.feasible)
        _, first = np.unique(self.identity[places], return_index=True)
        found: Rows = places[np.sort(first)]
        return found

    @cached_property
    def closest(self) -> int | None:
        """The place of the candidate that misses the budget by the smallest factor."""
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
        """The same candidates where costs depend on other terms."""
        other = replace(self, terms=terms)
        if "identity" in vars(self):
            vars(other)["identity"] = self.identity
        return other

    def cost(self, name: str, places: Rows) -> Numbers:
        """A cost of some candidates that is known, in `costs` or not (places,)."""
        known = self.costs.get(name)
        return self._worked_out(name, places) if known is None else known[places]

    def candidate(self, place: int) -> Candidate:
        """The candidate at a place: the same object each time, since its name takes longer than
        to look it up."""
        return self.candidates[place]

    def _within(self, costs: dict[str, Numbers]) -> NDArray[np.bool_]:
        fits = np.ones(len(self.candidates), bool)
        for name, limit in self.space.limits.items():
            if name in costs:
                fits &= costs[name] <= (np.inf if limit.max is None else limit.max)
                fits &= costs[name] >= (-np.inf if limit.min is None else limit.min)
        return fits

    def _worked_out(self, name: str, places: Rows) -> Numbers:
        """A cost of some candidates, once for all that build the same (places,)."""
        of = COSTS[name].of
        assert of is not None, "a count, which is in `costs`"
        known: dict[int, float] = {}
        for place in places.tolist():
            kind = int(self.identity[place])
            if kind not in known:
                known[kind] = float(of(self.candidates[place], self.terms))
        return np.array([known[kind] for kind in self.identity[places].tolist()], np.float64)


def screen(space: Space, points: Sequence[Values], terms: CostContext) -> Screened:
    """Build what can be built of some points, each given by the values of its active axes."""
    candidates = []
    for values in points:
        with suppress(ValueError):
            candidates.append(space.build(values))
    return Screened(space, terms, points, candidates)


@lru_cache(maxsize=CACHED)
def _trained(recipe: Recipe, loops: int) -> str:
    return json.dumps(recipe.built(loops), sort_keys=True)
