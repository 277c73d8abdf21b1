"""The history of a study, as its sampler sees it: its trials and their known results."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from typing import Any

from sret_search.space.assembly import addresses
from sret_search.space.candidate import Candidate, Values
from sret_search.study import Study
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult


class History:
    """The trials of a study, updated as they begin and end, each in constant time.

    A study may have been edited since its first trials. Trials that it no longer asks for stay in
    the history, but do not belong to it. They have another recipe or architecture, or values
    outside of the present space or budget.

    Attributes:
        entries: every trial, by number.
        current_values: the values of all axes that are active now, by number, of the trials that
            belong to the study as it is now.
        seeds: the seeds that were begun, by candidate name. A name identifies the whole training,
            so trials that do not belong to the study are included.
        firsts: the first trial of each candidate that belongs to the study, by name, in order of
            number.
        results: numbers of the trials whose results are known, in the order in which they became
            known. After a restart this order may differ.
        changes: number of changes so far.
    """

    def __init__(
        self, study: Study, entries: Iterable[TrialRecord], window: int | None = None
    ) -> None:
        """Add the trials.

        Args:
            window: with a window, trial n is chosen with the results of exactly the trials 0 to n -
                window; without one, with those of all trials that have ended. Under a scheduler and
                a window, it is chosen with the results of all earlier cohorts, and with the results
                of trials 0 to n - window at the first rung.
        """
        assert window is None or window >= 1, "a trial cannot know its own result"
        self.study, self.window = study, window
        self.entries: list[TrialRecord] = []
        self.current_values: dict[int, Values] = {}
        self.seeds: dict[str, set[int]] = {}
        self.firsts: dict[str, int] = {}
        self.results: list[int] = []
        self.changes = 0
        self._ended = self._measured = self._let_in = 0
        """Numbers below which every trial has ended, has ended or reached its first rung, or is in
        `results` if it has ended."""
        self._short: deque[str] = deque()
        """Names of candidates that belong to the study, of which the first may lack seeds."""
        self._values_by_key: dict[tuple[str, str], Values | None] = {}
        self._add(entries)

    def under(self, window: int | None) -> History:
        """The same trials under another window. Which of them belong to the study is not checked
        again."""
        other = History(self.study, (), window)
        other._values_by_key = self._values_by_key
        other._add(self.entries)
        return other

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def ready(self) -> bool:
        """Whether all results with which the next trial must be chosen are known."""
        if self.window is None:
            return True
        return self._ended >= self._horizon and self._measured > len(self) - self.window

    def known(self, entry: TrialRecord) -> bool:
        """Whether the next trial is chosen with the result of this one.

        If not, it is chosen with this trial's values, and with the results that `reached` gives.
        """
        return entry.number < self._horizon and not entry.open

    def reached(self, entry: TrialRecord) -> dict[int, RungResult]:
        """The results of a trial at rungs with which the next trial is chosen, by epoch."""
        if entry.number < self._horizon:
            return entry.rungs
        assert self.window is not None
        first = sorted(entry.rungs)[: entry.number <= len(self) - self.window]
        return {epoch: entry.rungs[epoch] for epoch in first}

    @property
    def _horizon(self) -> int:
        """The number below which the results of trials are used to choose the next trial."""
        if self.window is None:
            return len(self)
        if self.study.rungs:
            return len(self) // self.study.cohort * self.study.cohort
        return max(len(self) - self.window + 1, 0)

    def begin(self, entry: TrialRecord) -> None:
        """Add the next trial."""
        assert entry.number == len(self), f"trial {entry.number} cannot follow {len(self) - 1}"
        self.entries.append(entry)
        self.seeds.setdefault(entry.candidate, set()).add(entry.seed)
        values = self._values_now(entry)
        if values is not None:
            self.current_values[entry.number] = values
            if entry.candidate not in self.firsts:
                self.firsts[entry.candidate] = entry.number
                self._short.append(entry.candidate)
        # Trials that the window now includes may have ended long ago.
        let_in = range(self._let_in, self._horizon)
        self.results += [number for number in let_in if not self.entries[number].open]
        self._let_in = self._horizon
        self._count()

    def replace(self, entry: TrialRecord) -> None:
        """Replace an open trial by its next open state: with more failures, at a rung, or
        promoted."""
        assert entry.open, f"trial {entry.number} has ended"
        self._replace(entry)

    def end(self, entry: TrialRecord) -> None:
        """Replace an open trial by the same trial, ended."""
        assert not entry.open, f"trial {entry.number} has not ended"
        self._replace(entry)
        if self.known(entry):
            self.results.append(entry.number)

    def has(self, candidate: Candidate, seed: int) -> bool:
        """Whether a candidate was begun with a seed, given by its index."""
        first = self.study.file.search.seed
        return first + seed in self.seeds.get(candidate.name, ())

    def lacking(self) -> tuple[Values, int] | None:
        """Values and next seed index of the first candidate that lacks seeds; None without one.

        Only candidates that belong to the study count.
        """
        search = self.study.file.search
        while self._short:
            name = self._short[0]
            begun = self.seeds[name]
            if len(begun) < search.seeds:
                missing = (i for i in range(search.seeds) if search.seed + i not in begun)
                return self.current_values[self.firsts[name]], next(missing)
            self._short.popleft()
        return None

    def _add(self, entries: Iterable[TrialRecord]) -> None:
        for entry in sorted(entries, key=lambda entry: entry.number):
            self.begin(entry)

    def _replace(self, entry: TrialRecord) -> None:
        assert self.entries[entry.number].open, f"trial {entry.number} has ended before"
        self.entries[entry.number] = entry
        self._count()

    def _count(self) -> None:
        self.changes += 1
        while self._ended < len(self) and not self.entries[self._ended].open:
            self._ended += 1
        while self._measured < len(self) and _is_measured(self.entries[self._measured]):
            self._measured += 1

    def _values_now(self, entry: TrialRecord) -> Values | None:
        if entry.parent is not None or entry.role != "search":
            return None
        if entry.origin == self.study.origin:
            return entry.values
        key = entry.candidate, json.dumps(entry.values, sort_keys=True)
        if key not in self._values_by_key:
            candidate = self._candidate(entry)
            same = candidate is not None and candidate.name == entry.candidate
            self._values_by_key[key] = candidate.values if candidate is not None and same else None
        return self._values_by_key[key]

    def _candidate(self, entry: TrialRecord) -> Candidate | None:
        """The point of the present space with the values of a trial; None if there is none.

        An axis that is newer than the trial has the value with which the trial was trained.
        """
        space = self.study.space
        values: Values = {}
        for path in space.axes:
            if not space.counts(path, values):
                continue
            try:
                value = entry.values[path] if path in entry.values else self._trained(entry, path)
            except (LookupError, TypeError):
                return None
            if not space.holds(path, value, values):
                return None
            values[path] = value
        return self.study.feasible(values)

    def _trained(self, entry: TrialRecord, path: str) -> Any:
        """The value with which a trial was trained, at the path of an axis.

        Raises:
            LookupError, TypeError: the job has no such path, or different values in different
                stages.
        """
        values = []
        for way in addresses(path, len(self.study.space.architecture.stages)):
            place: Any = entry.plain
            for part in way:
                place = place[part]
            values.append(place)
        if any(value != values[0] for value in values):
            raise LookupError(path)
        return values[0]


def _is_measured(entry: TrialRecord) -> bool:
    """Whether a trial has any result."""
    return not entry.open or bool(entry.rungs)
