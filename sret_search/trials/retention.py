"""Retention of checkpoints: those of ended trials are kept up to a quota."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from sret_search import pareto
from sret_search.artifacts.names import STABLE
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.config.base import size
from sret_search.study import Study
from sret_search.trials.trial import TrialRecord


def quota(study: Study) -> int:
    """Bytes that the checkpoints of ended trials may take."""
    return size(study.file.storage.quota)


class Keeper:
    """Keeps the last full checkpoint of each ended trial, up to the quota.

    A trial can be continued from its checkpoint. Beyond the quota, checkpoints of trials off the
    Pareto front are removed first, then those on it, each the oldest first. The front is that of
    validation accuracy (mean over a candidate's seeds) against parameters. The state after
    `restore` is kept in memory, and the trials' folders are not listed again.

    Args:
        folders: of all trials.
        quota: bytes that checkpoints of ended trials may take.
        needed: trials from which others will continue. Their checkpoints are removed last.
    """

    def __init__(self, folders: TrialFolders, quota: int, needed: Collection[int] = ()) -> None:
        self._folders, self._quota, self._needed = folders, quota, frozenset(needed)
        self._kept: dict[int, list[tuple[str, str]]] = {}
        self._bytes: dict[int, int] = {}
        self._ended: dict[int, TrialRecord] = {}
        self._accuracies: dict[str, list[float]] = defaultdict(list)
        self._params: dict[str, int] = {}
        self._total = 0

    def restore(self, entries: Iterable[TrialRecord]) -> None:
        """Read the checkpoints of all ended trials, and remove the files that a killed run left."""
        attempts = self._folders.all_attempts()
        for entry in entries:
            if not entry.open:
                self._tidy(entry, attempts.get(entry.number, []))
        self._shrink()

    def ended(self, entry: TrialRecord) -> None:
        """Remove the files that are no longer needed after a trial has ended."""
        self._tidy(entry, self._folders.attempts(entry.number))
        self._shrink()

    def rests(self, entry: TrialRecord) -> None:
        """Keep only the last full checkpoint of a trial that waits at a rung.

        The trial may continue from it, so it does not count in the quota.
        """
        for file in self._full(self._folders.attempts(entry.number))[:-1]:
            self._remove(file)

    def _tidy(self, entry: TrialRecord, attempts: Sequence[str]) -> None:
        folders, wsd = self._folders, entry.schedule == "wsd"
        full = self._full(attempts)
        stable = [(a, STABLE) for a in attempts if folders.exists(a, STABLE)]
        kept = full[-1:] + (stable[-1:] if wsd else [])
        torn = [(a, name) for a in attempts for name in folders.unfinished(a)]
        for file in full + stable + torn:
            if file not in kept:
                self._remove(file)
        self._forget(entry.number)
        self._count(entry)
        if kept:
            self._kept[entry.number] = kept
            self._bytes[entry.number] = sum(folders.size(*file) for file in kept)
            self._total += self._bytes[entry.number]

    def _full(self, attempts: Sequence[str]) -> list[tuple[str, str]]:
        """Full checkpoints in order of step; at equal steps, in order of attempt."""
        checkpoints = [(a, name) for a in attempts for name in self._folders.checkpoints(a)]
        return sorted(checkpoints, key=lambda file: _step(file[1]))

    def _count(self, entry: TrialRecord) -> None:
        if entry.state == "complete" and entry.number not in self._ended:
            self._params[entry.candidate] = entry.cost["params"]
            self._accuracies[entry.candidate].append(entry.result.accuracy("val"))
        self._ended[entry.number] = entry

    def _shrink(self) -> None:
        if self._total <= self._quota:
            return
        best = self._front()

        def worth(number: int) -> tuple[bool, bool, int]:
            entry = self._ended[number]
            on_front = entry.state == "complete" and entry.candidate in best
            return number in self._needed, on_front, number

        for number in sorted(self._kept, key=worth):
            if self._total <= self._quota:
                return
            for file in self._kept[number]:
                self._remove(file)
            self._forget(number)

    def _front(self) -> set[str]:
        """Names of the candidates on the Pareto front, with all equal ones."""
        names = list(self._accuracies)
        means = [sum(accuracies) / len(accuracies) for accuracies in self._accuracies.values()]
        on_front = pareto.pareto(means, [self._params[name] for name in names])
        return {names[i] for i in on_front.nonzero()[0]}

    def _remove(self, file: tuple[str, str]) -> None:
        # A file that cannot be removed now is removed at the next start.
        with suppress(OSError):
            self._folders.remove(*file)

    def _forget(self, number: int) -> None:
        self._kept.pop(number, None)
        self._total -= self._bytes.pop(number, 0)


def only_retrainable(
    folders: TrialFolders, attempts: Mapping[int, Sequence[str]], entries: Iterable[TrialRecord]
) -> list[int]:
    """Numbers of the complete trials that have no full checkpoint in any attempt.

    They can only be retrained, not continued.
    """
    return [
        entry.number
        for entry in entries
        if entry.state == "complete"
        and not any(folders.checkpoints(a) for a in attempts.get(entry.number, []))
    ]


def without_folder(
    attempts: Mapping[int, Sequence[str]], entries: Iterable[TrialRecord]
) -> list[int]:
    """Numbers of the trials that were trained, at least in part, and have no folder any more."""
    return [
        entry.number
        for entry in entries
        if (entry.result.attempts or entry.failures or entry.rungs) and entry.number not in attempts
    ]


def _step(checkpoint: str) -> int:
    return int(checkpoint.removeprefix("checkpoint-").removesuffix(".pt"))
