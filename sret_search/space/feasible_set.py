"""The feasible candidates of a space: all of them, where it is small enough, and at random."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.space import distribution
from sret_search.space.batches import FIRST, MOST, Batches
from sret_search.space.candidate import Candidate, CostContext, Values
from sret_search.space.screening import Screened, screen
from sret_search.space.space import Space

AT_MOST = 100_000
"""Combinations of a space up to which all are built: some ten seconds of one core."""
AT_MOST_OF_GRID = 2_000_000
"""The same where every candidate is asked for: some minutes, and some gigabytes."""
_SMALL = 50_000
"""Combinations that are gone through rather than drawn from."""
_EACH, _LAST = 32_768, 1_000_000
"""Draws for each trial before a space is gone through after all; and how many more before one
that has no end counts as used up."""


@dataclass(frozen=True)
class FeasibleSet:
    """The candidates of a space that can be built and fit its budget.

    Attributes:
        seed: of random draws.
        at_most: combinations up to which all are built; a space of more is drawn from.
    """

    space: Space
    terms: CostContext
    seed: int = 0
    at_most: int = AT_MOST

    @cached_property
    def whole(self) -> Screened | None:
        """Every combination of the space; None where there are too many."""
        points = self.space.enumerated(self.at_most)
        return None if points is None else self.screened(points)

    def on(self, terms: CostContext) -> FeasibleSet:
        """The same set where costs depend on other terms; what was built is kept."""
        other = replace(self, terms=terms)
        if "whole" in vars(self):
            vars(other)["whole"] = None if self.whole is None else self.whole.on(terms)
        return other

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
        return screen(self.space, points, self.terms)

    @cached_property
    def is_small(self) -> bool:
        """Whether it takes no time to go through the whole space."""
        return self.space.enumerated(_SMALL) is not None

    def _drawn(self, place: int, draws: int) -> Iterator[Candidate]:
        """The feasible ones of so many draws from that place on."""
        yield from itertools.islice(self._batches.within(draws), place, None)

    @cached_property
    def _batches(self) -> Batches[Candidate]:
        """The feasible ones of all draws so far."""
        chance = random.Random(self.seed)

        def make(size: int) -> list[Candidate]:
            screened = self.screened([self.space.draw(chance) for _ in range(size)])
            return list(compress(screened.candidates, screened.feasible))

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
        weights = np.ones(len(places))
        candidates = [self.whole.candidates[place] for place in places.tolist()]
        for path, axis in self.space.axes.items():
            if axis.same_as is None:
                options = self.space.options(path)
                chance = dict(zip(map(_key, options), distribution.chances(axis), strict=True))
                weights *= [
                    chance[_key(c.values[path])] if path in c.values else 1.0 for c in candidates
                ]
        return places, weights


def _key(value: Any) -> str:
    return json.dumps(value)
