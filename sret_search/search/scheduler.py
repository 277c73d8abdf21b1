"""Rungs: epochs at which trials stop, and from which only the best continue.

The method is successive halving (Jamieson & Talwalkar, 1502.07943; asynchronous: Li et al.,
1810.05934). Trials are ranked by several objectives. A trial at a rung is not in training: its
promotion begins another attempt from the last checkpoint. Every decision is a function of the
history.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sret_search.pareto import contributions, nondominated
from sret_search.search.samplers.base import PredictiveSampler, Sampler
from sret_search.study import Study
from sret_search.trials.history import History
from sret_search.trials.objectives import objective_values
from sret_search.trials.trial import TrialRecord

_STAND_INS = {"latency_ms": "macs"}
"""Objectives measured only at the end of a training, each with its substitute at a rung."""


@dataclass(frozen=True)
class Decision:
    """Decision about trials that wait at rungs.

    Attributes:
        promoted: the epoch until which each promoted trial trains, by trial number.
        stopped: numbers of the trials that are not trained further.
    """

    promoted: dict[int, int] = field(default_factory=dict)
    stopped: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.promoted or self.stopped)


class Scheduler:
    """The scheduler of a study. Without rungs every trial is trained to its end.

    A trial competes at a rung with all trials of its stratum that ever reached the rung. While new
    trials begin, a trial is promoted as soon as it is among the best 1/eta, so that no trial waits
    for others. After the last trial has begun, the rungs are closed, from the lowest. A rung is
    closed when no trial is on the way to it: the best 1/eta of each stratum, and at least one
    trial, continue, and the others are stopped. So the best trial of each stratum is trained to its
    end.

    If the sampler has a model of how trials will end, its predictions replace the ranks. While new
    trials begin, only trials that it expects on the front are promoted, up to 1/eta of a stratum.
    After the last trial has begun, all such trials are promoted, and the others are stopped when no
    such trial is left.

    In strict order no decision may depend on the order in which trials end. So each cohort of
    trials is closed by itself, by ranks alone.

    A trial that diverged or failed on the way to a rung counts as the worst there. Trials that the
    study no longer asks for are stopped where they wait.
    """

    def __init__(self, study: Study, sampler: Sampler | None = None) -> None:
        self.study, self.epochs = study, study.rungs
        self._believer = sampler if isinstance(sampler, PredictiveSampler) else None
        self._eta = study.file.scheduler.eta
        self._orders: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}
        """Numbers of the trials at (cohort, rung, stratum), in order of number and ranked; kept
        until these change."""
        self._last: tuple[History, int, bool] | None = None
        """History, its number of changes and `is_over` of the last call without a decision."""

    def until(self, entry: TrialRecord) -> int | None:
        """The epoch of the rung that a trial is at, or trains to; None if it trains to its end."""
        if not self.epochs or entry.role != "search" or entry.parent is not None:
            return None
        epoch = self.epochs[0] if entry.until is None else entry.until
        return epoch if epoch in self.epochs else None

    def waits(self, entry: TrialRecord) -> bool:
        """Whether a trial is at a rung and neither promoted nor stopped."""
        return entry.open and bool(entry.rungs) and self.until(entry) in entry.rungs

    def decide(self, history: History, is_over: bool = False) -> Decision:
        """The next decision. If it is empty, no decision follows until the history changes.

        Args:
            is_over: whether no new trial will begin.
        """
        if not self.epochs or self._last == (history, history.changes, is_over):
            return Decision()
        decision = self._decide(history, is_over)
        self._last = None if decision else (history, history.changes, is_over)
        return decision

    def _decide(self, history: History, is_over: bool) -> Decision:
        foreign = [e.number for e in history.entries if e.number not in history.current_values]
        lost = [number for number in foreign if self.waits(history.entries[number])]
        if lost:
            return Decision(stopped=lost)
        trials = [history.entries[number] for number in history.current_values]
        if self.study.file.search.order == "strict":
            return self._of_cohorts(trials, len(history), is_over)
        promising: set[str] = set()
        if self._believer is not None:
            promising.update(self._believer.promising(history))
        if promising:
            return self._believed(trials, promising, is_over)
        return self._promotion(trials) or (self._closed(trials) if is_over else Decision())

    def _promotion(self, trials: Sequence[TrialRecord]) -> Decision:
        """Promote the best trial of the highest rung at which a trial may be promoted."""
        for epoch in reversed(self.epochs):
            for order in self._ranked(trials, epoch):
                for number, entry in order[: len(order) // self._eta]:
                    if self._waits_at(entry, epoch):
                        return Decision({number: self._above(epoch)})
        return Decision()

    def _believed(
        self, trials: Sequence[TrialRecord], promising: set[str], is_over: bool
    ) -> Decision:
        """Decide by the model of the sampler.

        Args:
            promising: the candidates that it expects on the front.
        """
        for epoch in reversed(self.epochs):
            for order in self._ranked(trials, epoch):
                went_on = sum(self._went_on(entry, epoch) for _, entry in order)
                if went_on >= len(order) // self._eta:
                    continue
                for number, entry in order:
                    if self._waits_at(entry, epoch) and entry.candidate in promising:
                        return Decision({number: self._above(epoch)})
        if not is_over:
            return Decision()
        waiting = {e.number: e for e in trials if self.waits(e)}
        promoted = {
            number: self._above(self.until(entry) or 0)
            for number, entry in waiting.items()
            if entry.candidate in promising
        }
        if promoted:
            return Decision(promoted)
        is_training = any(e.open and e.number not in waiting for e in trials)
        return Decision() if is_training else Decision(stopped=list(waiting))

    def _of_cohorts(self, trials: Iterable[TrialRecord], begun: int, is_over: bool) -> Decision:
        size = self.study.cohort
        cohorts: dict[int, list[TrialRecord]] = defaultdict(list)
        for entry in trials:
            cohorts[entry.number // size].append(entry)
        for cohort, members in cohorts.items():
            if is_over or begun >= (cohort + 1) * size:
                decision = self._closed(members, cohort)
                if decision:
                    return decision
        return Decision()

    def _closed(self, trials: Sequence[TrialRecord], cohort: int = 0) -> Decision:
        """Decide on all trials at the lowest rung to which no trial is on the way."""
        on_the_way = [self.until(e) or math.inf for e in trials if e.open and not self.waits(e)]
        for epoch in self.epochs:
            if min(on_the_way, default=math.inf) <= epoch:
                break
            if any(self._waits_at(entry, epoch) for entry in trials):
                return self._final(trials, epoch, cohort)
        return Decision()

    def _final(self, trials: Sequence[TrialRecord], epoch: int, cohort: int) -> Decision:
        decision = Decision()
        for order in self._ranked(trials, epoch, cohort):
            kept = max(len(order) // self._eta, 1)
            for place, (number, entry) in enumerate(order):
                if self._waits_at(entry, epoch) and place < kept:
                    decision.promoted[number] = self._above(epoch)
                elif self._waits_at(entry, epoch):
                    decision.stopped.append(number)
        return decision

    def _ranked(
        self, trials: Iterable[TrialRecord], epoch: int, cohort: int = 0
    ) -> list[list[tuple[int, TrialRecord]]]:
        """Trials that reached a rung, with their numbers: a list for each stratum, the best
        first."""
        strata: dict[int, dict[int, TrialRecord]] = defaultdict(dict)
        for entry in trials:
            if self._has_come(entry, epoch):
                strata[bisect_right(self.study.strata, entry.cost["macs"])][entry.number] = entry
        orders = []
        for stratum, members in sorted(strata.items()):
            place, numbers = (cohort, epoch, stratum), list(members)
            if self._orders.get(place, ([], []))[0] != numbers:
                self._orders[place] = numbers, self._order(members, epoch)
            orders.append([(number, members[number]) for number in self._orders[place][1]])
        return orders

    def _order(self, members: Mapping[int, TrialRecord], epoch: int) -> list[int]:
        objectives = self.study.file.objectives
        names = [_STAND_INS.get(name, name) for name in objectives]
        signs = [1 if direction == "max" else -1 for direction in objectives.values()]
        points = {
            number: np.multiply(signs, objective_values(names, entry.cost, reached.measured))
            for number, entry in members.items()
            if (reached := entry.rungs.get(epoch)) is not None
        }
        numbers = list(points)
        order = ranking(np.array(list(points.values())), numbers) if numbers else []
        return order + [number for number in members if number not in points]

    def _has_come(self, entry: TrialRecord, epoch: int) -> bool:
        ended_before = entry.state in ("diverged", "failed") and self.until(entry) == epoch
        return ended_before or epoch in entry.rungs

    def _waits_at(self, entry: TrialRecord, epoch: int) -> bool:
        return self.waits(entry) and self.until(entry) == epoch

    def _went_on(self, entry: TrialRecord, epoch: int) -> bool:
        return entry.until is not None and entry.until > epoch

    def _above(self, epoch: int) -> int:
        """The epoch of the next rung, or the last epoch of the training."""
        later = [*self.epochs, int(self.study.file.recipe.length)]
        return later[later.index(epoch) + 1]


def ranking(points: np.ndarray, numbers: Sequence[int]) -> list[int]:
    """Numbers of trials from the best to the worst, by the ranks of their objectives.

    They are sorted by non-domination. Within a front they are sorted by the hypervolume of ranks
    that only this point dominates, then by number. Of equal points, only the first has such a
    hypervolume.

    Args:
        points: (n, objectives), all to be maximised.
        numbers: of the trials (n).
    """
    from scipy.stats import rankdata

    # Twice the mean ranks are whole numbers. So sums of them are exact and do not depend on the order
    # of points and objectives.
    ranks = np.rint(2 * rankdata(points, axis=0)).astype(np.int64)
    left = np.argsort(numbers, kind="stable")
    ranked: list[int] = []
    while len(left):
        on_front = nondominated(ranks[left].tolist())
        front = left[on_front]
        alone = contributions([tuple(point) for point in ranks[front].tolist()])
        order = sorted(range(len(front)), key=lambda i: (-alone[i], i))
        ranked += [numbers[front[i]] for i in order]
        left = left[~on_front]
    return ranked
