"""The sampler `stratified`: random candidates, spread evenly over the logarithm of a cost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.sequential import Drawn
from sret_search.space.candidate import STORED
from sret_search.space.screening import Screened
from sret_search.trials.history import History

_BITS = 5
STRATA = 1 << _BITS
"""Slices of the cost, equal in its logarithm. The number is fixed, so that a study that is made
longer continues the same sequence."""
_COSTS = ("params", "macs", "train_macs", "memory", *STORED)
_DRAWS = 16_384
"""Draws that represent a space too large to enumerate."""


class Stratified(Drawn):
    """Asks for a random candidate of each slice of the cost in turn.

    The cost is the first objective among parameters, MACs, training MACs, memory and bytes of
    weights, or parameters if none is an objective. The slices lie between the lowest and the highest cost of a feasible
    candidate. Any 2^k consecutive trials that begin at a multiple of 2^k lie in 2^k equal parts of
    that range, up to `STRATA`. This is van der Corput's order, with binary digits flipped by the
    study's seed and the round. If a slice has no new candidate, the nearest slice that has one
    replaces it, the cheaper of two.
    """

    def draw(self, history: History) -> Iterator[Ask]:
        place = len(history.firsts)
        wanted = stratum(self.study.file.search.seed, place)
        for near in sorted(range(STRATA), key=lambda each: (abs(each - wanted), each)):
            for number in self._strata[near]:
                yield Ask(self._sample.candidate(number), 0)
        if self.study.points.whole is None:
            for candidate in self.at_random(place):
                yield Ask(candidate, 0)

    @property
    def cost(self) -> str:
        """The name of the cost over which candidates are spread."""
        objectives = self.study.file.objectives
        return next((name for name in _COSTS if name in objectives), _COSTS[0])

    @cached_property
    def _sample(self) -> Screened:
        return self.study.points.sample(_DRAWS)

    @cached_property
    def _strata(self) -> list[list[int]]:
        """Places of the sample's candidates by slice, each slice in random order."""
        chance = np.random.default_rng(self.study.file.search.seed)
        places = chance.permutation(self._sample.distinct)
        slices = _slices(np.log(self._sample.cost(self.cost, places)))
        return [places[slices == each].tolist() for each in range(STRATA)]


def stratum(seed: int, place: int) -> int:
    """The slice for a place in the order of candidates; 0 is the cheapest."""
    turn, within = divmod(place, STRATA)
    flips = np.random.SeedSequence((seed, turn)).generate_state(1)
    return int(f"{within:0{_BITS}b}"[::-1], 2) ^ int(flips[0]) % STRATA


def _slices(logs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The slice of each cost, from its logarithm."""
    if not len(logs):
        return np.zeros(0, np.int64)
    low, high = logs.min(), logs.max()
    if low == high:
        return np.zeros(len(logs), np.int64)
    slices = (logs - low) / (high - low) * STRATA
    return np.asarray(np.minimum(slices, STRATA - 1), np.int64)
