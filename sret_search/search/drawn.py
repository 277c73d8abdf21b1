"""Samplers that draw a candidate and train it with each seed before they draw the next one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cached_property

from sret_search.search.ask import Ask
from sret_search.search.history import History
from sret_search.study import Study
from sret_search.study.space import Candidate

_DRAWS = 10_000
"""Candidates drawn at random for one trial before the space counts as used up, and
combinations of a space that is small enough to be listed."""


class Drawn:
    """Asks until the study has all of its trials, or its space is used up.

    Candidates that lack seeds come before new ones: their number may have been raised since
    they were drawn. No candidate is drawn twice.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._over: History | None = None
        """A history in which no candidate is left to draw."""

    def ask(self, history: History) -> Ask | None:
        """The next training; None where there is no more."""
        if len(history.own) >= self.study.trials:
            return None
        lacking = history.lacking()
        if lacking is not None:
            values, seed = lacking
            return Ask(self.study.space.candidate(values), seed)
        if history is self._over:
            return None
        for ask in self.draw(history):
            if ask.candidate.name not in history.seeds:
                return ask
            if self._used_up(history):
                break
        self._over = history
        return None

    def draw(self, history: History) -> Iterator[Ask]:
        """Feasible candidates for the next trial, best first; ends where there are no more."""
        raise NotImplementedError

    def at_random(self, index: int) -> Iterator[Candidate]:
        """Feasible candidates for place `index`: choices evenly, ranges evenly or evenly in the
        logarithm. In the end each one of a small space comes."""
        rng = random.Random(f"{self.study.file.search.seed}/{index}")
        for _ in range(_DRAWS):
            candidate = self.study.feasible(self.study.space.draw(rng))
            if candidate is not None:
                yield candidate
        if self._is_small:
            yield from self.study.grid

    @property
    def _is_small(self) -> bool:
        size = self.study.space.size
        return size is not None and size <= _DRAWS

    @cached_property
    def _names(self) -> set[str]:
        """Every feasible candidate of a small space."""
        return {candidate.name for candidate in self.study.grid}

    def _used_up(self, history: History) -> bool:
        if not self._is_small or len(history.seeds) < len(self._names):
            return False
        return all(name in history.seeds for name in self._names)


class Random(Drawn):
    """Every candidate from (study seed, its place among the candidates), whatever came before."""

    def draw(self, history: History) -> Iterator[Ask]:
        for candidate in self.at_random(len(history.firsts)):
            yield Ask(candidate, 0)
