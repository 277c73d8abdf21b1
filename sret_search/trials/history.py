"""Every trial so far, as a sampler sees it: what belongs to the study, and what is known."""

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
    """The trials of a study, kept up to date as they begin and end, each in constant time.

    A study may have been edited since its first trials. Those that it would not train any more
    (another recipe, values outside of the present space or budget, another architecture) stay,
    but are not its own.

    Attributes:
        entries: every trial, by number.
        own: those that belong to the study as it is now, by number: the values of all axes that
            are active now.
        seeds: the seeds that were begun, by the name of their candidate. A name says all that
            is trained, so here it does not matter whether a trial is the study's own.
        firsts: the first own trial of each candidate, by name, in the order of number.
        results: numbers of the trials whose results are known, in the order in which they
            became so, which is not the same after a restart.
        changes: how often anything changed.
    """

    def __init__(
        self, study: Study, entries: Iterable[TrialRecord], window: int | None = None
    ) -> None:
        """With a window, the n-th trial is asked for with the results of trials 0 to n - window,
        all of them and no others; without, with those that have ended.

        Under a scheduler and a window, those of all cohorts before its own, and of trials 0 to
        n - window what they reached at the first rung.
        """
        assert window is None or window >= 1, "a trial cannot know its own result"
        self.study, self.window = study, window
        self.entries: list[TrialRecord] = []
        self.own: dict[int, Values] = {}
        self.seeds: dict[str, set[int]] = {}
        self.firsts: dict[str, int] = {}
        self.results: list[int] = []
        self.changes = 0
        self._ended = self._measured = self._let_in = 0
        """Every trial below these numbers has ended, or at least reached its first rung, or is
        in `results` if it has ended."""
        self._short: deque[str] = deque()
        """Own candidates, by name, of which the first may lack seeds."""
        self._found: dict[tuple[str, str], Values | None] = {}
        self._add(entries)

    def under(self, window: int | None) -> History:
        """The same trials under another window, without looking anew at what is the study's
        own."""
        other = History(self.study, (), window)
        other._found = self._found
        other._add(self.entries)
        return other

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def ready(self) -> bool:
        """Whether all results are there that the next trial must be asked for with."""
        if self.window is None:
            return True
        return self._ended >= self._horizon and self._measured > len(self) - self.window

    def known(self, entry: TrialRecord) -> bool:
        """Whether the next trial is asked for with the result of this one; if not, with what it
        trains, and what it `reached`, alone."""
        return entry.number < self._horizon and not entry.open

    def reached(self, entry: TrialRecord) -> dict[int, RungResult]:
        """What the next trial is asked for with of a trial's rungs, by epoch."""
        if entry.number < self._horizon:
            return entry.rungs
        assert self.window is not None
        first = sorted(entry.rungs)[: entry.number <= len(self) - self.window]
        return {epoch: entry.rungs[epoch] for epoch in first}

    @property
    def _horizon(self) -> int:
        """The next trial is asked for with the results of those below this number."""
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
        own = self._own(entry)
        if own is not None:
            self.own[entry.number] = own
            if entry.candidate not in self.firsts:
                self.firsts[entry.candidate] = entry.number
                self._short.append(entry.candidate)
        # The trials that a window lets in now may have ended long ago.
        let_in = range(self._let_in, self._horizon)
        self.results += [number for number in let_in if not self.entries[number].open]
        self._let_in = self._horizon
        self._count()

    def replace(self, entry: TrialRecord) -> None:
        """Replace an open trial by the same one, still open, with failures counted, at a rung, or
        promoted."""
        assert entry.open, f"trial {entry.number} has ended"
        self._replace(entry)

    def end(self, entry: TrialRecord) -> None:
        """Replace an open trial by the same one, ended."""
        assert not entry.open, f"trial {entry.number} has not ended"
        self._replace(entry)
        if self.known(entry):
            self.results.append(entry.number)

    def has(self, candidate: Candidate, seed: int) -> bool:
        """Whether a candidate was begun with a seed, given by its index."""
        first = self.study.file.search.seed
        return first + seed in self.seeds.get(candidate.name, ())

    def lacking(self) -> tuple[Values, int] | None:
        """The first own candidate that was begun with fewer seeds than the study asks for: its
        values, and the index of the next seed. None where there is none."""
        search = self.study.file.search
        while self._short:
            name = self._short[0]
            begun = self.seeds[name]
            if len(begun) < search.seeds:
                missing = (i for i in range(search.seeds) if search.seed + i not in begun)
                return self.own[self.firsts[name]], next(missing)
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

    def _own(self, entry: TrialRecord) -> Values | None:
        if entry.parent is not None or entry.role != "search":
            return None
        if entry.origin == self.study.origin:
            return entry.values
        key = entry.candidate, json.dumps(entry.values, sort_keys=True)
        if key not in self._found:
            candidate = self._candidate(entry)
            same = candidate is not None and candidate.name == entry.candidate
            self._found[key] = candidate.values if candidate is not None and same else None
        return self._found[key]

    def _candidate(self, entry: TrialRecord) -> Candidate | None:
        """The point of the present space that has the values of a trial; None where none has.

        An axis that is newer than the trial has the value that the trial was trained with.
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
        """What a trial was trained with at the place that an axis names.

        Raises:
            LookupError, TypeError: it has no such place, or not the same in all stages.
        """
        found = []
        for way in addresses(path, len(self.study.space.architecture.stages)):
            place: Any = entry.plain
            for part in way:
                place = place[part]
            found.append(place)
        if any(value != found[0] for value in found):
            raise LookupError(path)
        return found[0]


def _is_measured(entry: TrialRecord) -> bool:
    """Whether anything is known of what a trial reaches."""
    return not entry.open or bool(entry.rungs)
