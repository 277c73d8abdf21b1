"""Samplers that draw a candidate and train it with each seed before they draw the next one."""

from __future__ import annotations

from collections.abc import Iterator

from sret_search.search.samplers.base import Ask
from sret_search.space.candidate import Candidate
from sret_search.study import Study
from sret_search.trials.history import History


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
        """Feasible candidates for place `index`. In the end each one of a space that is small
        enough to be gone through comes."""
        return self.study.points.at_random(index)

    def _used_up(self, history: History) -> bool:
        """Whether every feasible candidate of a small space was begun."""
        points = self.study.points
        if not points.is_small or points.whole is None:
            return False
        if len(history.seeds) < len(points.whole.distinct):
            return False
        return all(one.name in history.seeds for one in points.all())


class Random(Drawn):
    """Every candidate from (study seed, its place among the candidates), whatever came before."""

    def draw(self, history: History) -> Iterator[Ask]:
        for candidate in self.at_random(len(history.firsts)):
            yield Ask(candidate, 0)
