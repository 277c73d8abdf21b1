"""Samplers that draw a candidate and train it with each seed before they draw the next one."""

from __future__ import annotations

from collections.abc import Iterator

from sret_search.search.samplers.base import Ask
from sret_search.space.candidate import Candidate
from sret_search.study import Study
from sret_search.trials.history import History


class Drawn:
    """Asks for candidates until the study has all its trials, or its space is used up.

    Candidates that lack seeds are asked for before new ones, since the number of seeds may have
    been raised. No candidate is drawn twice.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._over: History | None = None
        """The history in which no candidate is left to draw."""

    def ask(self, history: History) -> Ask | None:
        """The next training; None if none is left.

        Raises:
            StudyError: the sampler failed.
        """
        if len(history.current_values) >= self.study.trials:
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
        """Feasible candidates for the next trial, the best first, until none is left."""
        raise NotImplementedError

    def at_random(self, index: int) -> Iterator[Candidate]:
        """Feasible candidates for place `index`, in random order; all of them in a small space."""
        return self.study.points.at_random(index)

    def _used_up(self, history: History) -> bool:
        """Whether every feasible candidate of a small space has begun."""
        points = self.study.points
        if not points.is_small or points.whole is None:
            return False
        if len(history.seeds) < len(points.whole.distinct):
            return False
        return all(candidate.name in history.seeds for candidate in points.all())


class Random(Drawn):
    """Asks for random candidates, drawn from the study's seed and the candidate's place alone."""

    def draw(self, history: History) -> Iterator[Ask]:
        for candidate in self.at_random(len(history.firsts)):
            yield Ask(candidate, 0)
