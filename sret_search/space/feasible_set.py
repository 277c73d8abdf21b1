"""Feasible candidates of a space: a list of all if the space is small enough, and random draws."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from sret_search.space import distribution
from sret_search.space.batches import FIRST, MOST, Batches
from sret_search.space.candidate import Candidate, CostContext, Values
from sret_search.space.screening import Screened, screen
from sret_search.space.space import Space

AT_MOST = 100_000
"""Largest number of combinations that are all built: about ten seconds on a core."""
AT_MOST_OF_GRID = 2_000_000
"""The same limit for a grid: some minutes and some gigabytes."""
_SMALL = 50_000
"""Largest number of combinations that are enumerated instead of drawn at random."""
_EACH, _LAST = 32_768, 1_000_000
"""Number of draws for each trial before a space is enumerated, and number of further draws before
a space that is too large for that counts as exhausted."""


@dataclass(frozen=True)
class FeasibleSet:
    """Candidates of a space that can be built and fit the budget.

    Attributes:
        space: the space.
        terms: context of the costs.
        seed: seed of the random draws.
        at_most: largest number of combinations that are all built. Of a larger space, candidates
            are drawn.
    """

    space: Space
    terms: CostContext
    seed: int = 0
    at_most: int = AT_MOST

    @cached_property
    def whole(self) -> Screened | None:
        """All combinations of the space, screened; None if there are too many."""
        points = self.space.enumerated(self.at_most)
        return None if points is None else self.screened(points)

    def on(self, terms: CostContext) -> FeasibleSet:
        """The same set with another context of the costs. Candidates that were built are kept."""
        other = replace(self, terms=terms)
        if "whole" in vars(self):
            vars(other)["whole"] = None if self.whole is None else self.whole.on(terms)
        return other

    @property
    def number(self) -> int:
        """Number of distinct feasible candidates, of a space that is enumerated."""
        assert self.whole is not None, "a space without end has no number"
        return len(self.whole.distinct)

    def all(self) -> Iterator[Candidate]:
        """Distinct feasible candidates in the order of the file, of a space that is enumerated."""
        assert self.whole is not None, "a space without end has no grid"
        for place in self.whole.distinct.tolist():
            yield self.whole.candidate(place)

    def at_random(self, place: int = 0) -> Iterator[Candidate]:
        """Random feasible candidates for a place in the order of trials.

        They do not depend on earlier calls. If the space is enumerated, every distinct feasible
        candidate is included in the end.

        Args:
            place: index of the trial.
        """
        if not self.is_small:
            yield from self._drawn(place, _EACH * (place + 1))
        if self.whole is None:
            yield from self._drawn(place, _EACH * (place + 1) + _LAST)
        else:
            order = np.roll(self._order, -place)
            yield from map(self.whole.candidate, order.tolist())

    def sample(self, draws: int) -> Screened:
        """All combinations, screened, or random draws if there are too many.

        Args:
            draws: number of random draws.
        """
        if self.whole is not None:
            return self.whole
        chance = random.Random(self.seed)
        points = [self.space.draw(chance) for _ in range(draws)]
        return self.screened(points)

    def screened(self, points: Sequence[Values]) -> Screened:
        """Screen some points of the space."""
        return screen(self.space, points, self.terms)

    @cached_property
    def is_small(self) -> bool:
        """Whether the space is small enough to be enumerated instead of drawn at random."""
        return self.space.enumerated(_SMALL) is not None

    def _drawn(self, place: int, draws: int) -> Iterator[Candidate]:
        """Feasible candidates among a number of draws, without the first `place` of them."""
        yield from itertools.islice(self._batches.within(draws), place, None)

    @cached_property
    def _batches(self) -> Batches[Candidate]:
        """Feasible candidates of all draws so far."""
        chance = random.Random(self.seed)

        def make(size: int) -> list[Candidate]:
            screened = self.screened([self.space.draw(chance) for _ in range(size)])
            return list(compress(screened.candidates, screened.feasible))

        return Batches(lambda done: min(done + FIRST, MOST), make)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Distinct feasible candidates of the whole space in random order (candidates,), as drawn
        without replacement (Efraimidis & Spirakis, 2006)."""
        assert self.whole is not None
        places, weights = self._weighted
        times = np.random.default_rng(self.seed).standard_exponential(len(places)) / weights
        order = places[np.argsort(times)]
        _, first = np.unique(self.whole.identity[order], return_index=True)
        distinct: NDArray[np.int64] = order[np.sort(first)]
        return distinct

    @cached_property
    def _weighted(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places of the feasible candidates, and their relative probabilities in a draw
        (candidates,)."""
        assert self.whole is not None
        places = np.flatnonzero(self.whole.feasible)
        weights = np.ones(len(places))
        candidates = [self.whole.candidates[place] for place in places.tolist()]
        for path, axis in self.space.axes.items():
            if axis.same_as is None:
                options = self.space.options(path)
                chance = dict(
                    zip(map(json.dumps, options), distribution.chances(axis), strict=True)
                )
                weights *= [
                    chance[json.dumps(c.values[path])] if path in c.values else 1.0
                    for c in candidates
                ]
        return places, weights
