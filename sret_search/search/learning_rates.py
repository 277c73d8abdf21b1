"""The learning rate of each arm. Every arm tries the same rates and is compared at its best."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sret_search.config.study_file import Rates as Grid
from sret_search.job.seeds import RATES
from sret_search.planning.plan import at_rate, competitors
from sret_search.search.samplers.base import WAIT, Ask
from sret_search.space.candidate import Candidate
from sret_search.study import Study
from sret_search.trials.about import RateTrial
from sret_search.trials.history import History
from sret_search.trials.objectives import mean_measured
from sret_search.trials.trial import TrialRecord

_MOST = 8
"""Rates by which a grid may be extended at each end: a factor of 256."""


@dataclass(frozen=True)
class Choice:
    """The learning rates that a competitor has tried, in rising order, with the score of each.

    Attributes:
        scores: the objectives among validation accuracy and minus loss, then minus loss, each a
            mean over seeds. (-inf,) if a training diverged or failed.
        is_interior: whether worse rates lie on both sides of the best.
    """

    rates: list[float]
    scores: list[tuple[float, ...]]

    @property
    def best(self) -> float:
        return self.rates[self._place]

    @property
    def is_interior(self) -> bool:
        return 0 < self._place < len(self.rates) - 1

    @property
    def _place(self) -> int:
        """The place of the best rate; the lowest of equally good rates."""
        return max(range(len(self.rates)), key=lambda i: (self.scores[i], -i))


class LearningRates:
    """Trains every arm and every twin of an arm at each rate, then the arms at their best rates.

    If the best rate is the lowest or the highest, the next rate beyond it is tried. Such extensions
    are made in rounds: a competitor's next rate is asked for after all trials of earlier rounds
    have ended. So the table of trials does not depend on the order in which they end.
    """

    def __init__(self, study: Study, grid: Grid) -> None:
        self.study, self.grid = study, grid

    def ask(self, history: History) -> Ask | Literal["wait"] | None:
        tried = Tried(self.study, history.entries, self._competitors)
        ask = self._ask_rate(tried, history)
        if ask is not None:
            return ask
        chosen = tried.choices
        if len(chosen) < len(self._competitors):
            return WAIT
        for seed in range(self.study.file.search.seeds):
            for arm in self.study.grid:
                candidate = at_rate(arm, chosen[arm.name].best)
                if not history.has(candidate, seed):
                    return Ask(candidate, seed)
        return None

    @cached_property
    def _competitors(self) -> list[Candidate]:
        return competitors(self.study)

    def _ask_rate(self, tried: Tried, history: History) -> Ask | None:
        every = [
            (turn, lr, competitor)
            for competitor in self._competitors
            for turn, lr in tried.rounds(competitor)
        ]
        for turn, lr, competitor in sorted(every, key=lambda each: each[0]):
            candidate = at_rate(competitor, lr)
            for seed in range(RATES, RATES + self.grid.seeds):
                if not history.has(candidate, seed):
                    about = RateTrial(competitor.name, lr, turn)
                    return Ask(candidate, seed, "rate", about)
        return None


class Tried:
    """The results of all learning rates that the competitors of a study have tried."""

    def __init__(
        self, study: Study, entries: Iterable[TrialRecord], known: Sequence[Candidate] | None = None
    ) -> None:
        """Collect the results.

        Args:
            known: the competitors, if the caller has them. To compute them takes time.
        """
        self.competitors = competitors(study) if known is None else known
        arms = study.file.arms
        assert arms is not None
        assert arms.lr is not None
        self.study, self.grid = study, arms.lr
        self._open: set[int] = set()
        """Rounds in which a trial has not ended."""
        self._results: dict[str, dict[float, list[TrialRecord]]] = defaultdict(
            lambda: defaultdict(list)
        )
        first = study.file.search.seed + RATES
        seeds = range(first, first + arms.lr.seeds)
        for entry in entries:
            about = entry.about
            if isinstance(about, RateTrial) and entry.seed in seeds:
                if entry.open:
                    self._open.add(about.round)
                self._results[about.of][about.lr].append(entry)

    def rounds(self, competitor: Candidate) -> list[tuple[int, float]]:
        """The rates that a competitor must have tried by now, each with its round."""
        rates = [(0, lr) for lr in self.grid.grid]
        for turn in range(1, 2 * _MOST + 1):
            further = self._further(competitor, [lr for _, lr in rates], turn)
            if further is None:
                break
            rates.append((turn, further))
        return rates

    @cached_property
    def choices(self) -> dict[str, Choice]:
        """The choice of each competitor that needs no further rate, by the competitor's name."""
        choices = {}
        for competitor in self.competitors:
            tried = sorted(lr for _, lr in self.rounds(competitor))
            choice = self._choice(competitor, tried)
            if choice is not None and not self._open:
                choices[competitor.name] = choice
        return choices

    def accuracy(self, competitor: Candidate, lr: float) -> float | None:
        """Mean validation accuracy at a rate; None if a training diverged or failed."""
        entries = self._results[competitor.name][lr]
        if any(entry.state != "complete" for entry in entries):
            return None
        return math.fsum(entry.result.accuracy("val") for entry in entries) / len(entries)

    def _further(self, competitor: Candidate, rates: Sequence[float], turn: int) -> float | None:
        """The next rate to try beyond the end that is the best so far; None if there is none."""
        choice = self._choice(competitor, sorted(rates))
        if choice is None or choice.is_interior or any(earlier < turn for earlier in self._open):
            return None
        lower = choice.best == min(rates)
        beyond = choice.best / 2 if lower else choice.best * 2
        outermost = self.grid.grid[0] if lower else self.grid.grid[-1]
        if abs(math.log2(beyond / outermost)) > _MOST + 0.5:
            return None
        try:
            at_rate(competitor, beyond)
        except ValueError:
            return None  # lower than the first or last rate of the recipe's schedule
        return beyond

    def _choice(self, competitor: Candidate, rates: list[float]) -> Choice | None:
        """The choice among these rates; None until each has been tried with every seed."""
        results = self._results.get(competitor.name, {})
        if any(
            len(results.get(lr, ())) < self.grid.seeds or any(e.open for e in results[lr])
            for lr in rates
        ):
            return None
        return Choice(rates, [self._score(results[lr]) for lr in rates])

    def _score(self, entries: list[TrialRecord]) -> tuple[float, ...]:
        if any(entry.state != "complete" for entry in entries):
            return (-math.inf,)
        means = mean_measured([entry.result.measured for entry in entries])
        scores = {"accuracy": means.val_accuracy, "loss": -means.val_loss}
        wanted = [scores[name] for name in self.study.file.objectives if name in scores]
        return (*wanted, scores["loss"])
