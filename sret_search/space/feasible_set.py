"""The feasible candidates of a space: all of them, where it is small enough, and at random."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sret_search.space import distribution
from sret_search.space.batches import FIRST, MOST, Batches
from sret_search.space.candidate import Candidate, CostContext, Values
from sret_search.space.screening import Screened, screen
from sret_search.space.space import Space
from sret_search.space.table import Table

AT_MOST = 2_000_000
"""Combinations that a space is gone through to the last one for."""
_SMALL = 50_000
"""Combinations that are gone through rather than drawn from."""
_EACH, _LAST = 32_768, 1_000_000
"""Draws for each trial before a space is gone through after all; and how many more before one
that has no end counts as used up."""


@dataclass(frozen=True)
class FeasibleSet:
    """The candidates of a space that can be built and fit its budget; a seed for chance."""

    space: Space
    terms: CostContext
    seed: int = 0

    @cached_property
    def whole(self) -> Screened | None:
        """Every combination of the space; None where there are too many."""
        table = Table.whole(self.space, AT_MOST)
        return None if table is None else screen(table, self.terms)

    @property
    def number(self) -> int:
        """How many there are that differ in what they build."""
        assert self.whole is not None, "a space without end has no number"
        return len(self.whole.distinct)

    def all(self) -> Iterator[Candidate]:
        """Each feasible candidate once, by what it builds, in the order of the file."""
        assert self.whole is not None, "a space without end has no grid"
        for place in self.whole.distinct.tolist():
            yield self.whole.candidate(place)

    def at_random(self, place: int = 0) -> Iterator[Candidate]:
        """Feasible candidates for a place in the order of trials, choices drawn evenly, ranges
        evenly or evenly in the logarithm; the same whatever was asked before. In the end each one
        of a space that is gone through comes."""
        if not self.is_small:
            yield from self._drawn(place, _EACH * (place + 1))
        if self.whole is None:
            yield from self._drawn(place, _EACH * (place + 1) + _LAST)
        else:
            order = np.roll(self._order, -place)
            yield from map(self.whole.candidate, order.tolist())

    def sample(self, draws: int) -> Screened:
        """Every combination, where there are not too many; otherwise so many random draws."""
        if self.whole is not None:
            return self.whole
        chance = random.Random(self.seed)
        points = [self.space.draw(chance) for _ in range(draws)]
        return self.screened(points)

    def screened(self, points: Sequence[Values]) -> Screened:
        """Some points of the space, looked at."""
        return screen(Table.of(self.space, points), self.terms)

    @cached_property
    def is_small(self) -> bool:
        """Whether it takes no time to go through the whole space."""
        return Table.whole(self.space, _SMALL) is not None

    def _drawn(self, place: int, draws: int) -> Iterator[Candidate]:
        """The feasible ones of so many draws from that place on."""
        for values in itertools.islice(self._batches.within(draws), place, None):
            yield self.space.candidate(values)

    @cached_property
    def _batches(self) -> Batches[Values]:
        """The feasible ones of all draws so far."""
        chance = random.Random(self.seed)

        def make(size: int) -> list[Values]:
            screened = self.screened([self.space.draw(chance) for _ in range(size)])
            found = np.flatnonzero(screened.feasible).tolist()
            return [screened.table.values(screened.rows[i]) for i in found]

        return Batches(lambda done: min(done + FIRST, MOST), make)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The distinct candidates of the whole space as if drawn one by one, each once
        (Efraimidis & Spirakis, 2006)."""
        assert self.whole is not None
        places, weights = self._weighted
        times = np.random.default_rng(self.seed).standard_exponential(len(places)) / weights
        order = places[np.argsort(times)]
        _, first = np.unique(self.whole.identity[order], return_index=True)
        found: NDArray[np.int64] = order[np.sort(first)]
        return found

    @cached_property
    def _weighted(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The feasible rows, and how likely a draw is to be each."""
        assert self.whole is not None
        places = np.flatnonzero(self.whole.feasible)
        rows = self.whole.rows[places]
        weights = np.ones(len(places))
        for path, axis in self.space.axes.items():
            if axis.same_as is None:
                of_value = np.append(distribution.chances(axis), 1.0)
                weights *= of_value[self.whole.table.columns[path].codes[rows]]
        return places, weights
