"""Branches: trials that continue another trial, their parent, with another recipe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from sret_search.job import Job, Parent
from sret_search.study import Study, StudyError
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord


class Trajectories:
    """Trials from whose checkpoints others can continue.

    Under `wsd` they are the trials that share a trajectory until one of them decays.
    """

    def __init__(self, entries: Iterable[TrialRecord]) -> None:
        self._trials: dict[str, list[int]] = defaultdict(list)
        for entry in entries:
            self.add(entry)

    def add(self, entry: TrialRecord) -> None:
        """Add a trial that has begun."""
        if entry.schedule == "wsd":
            self._trials[entry.job.trajectory].append(entry.number)

    def sources(self, entry: TrialRecord) -> list[int]:
        """Numbers of the trials whose checkpoints a trial may continue.

        They are the trial itself, those with a shared trajectory before the decay, and its parent.
        """
        wsd = entry.schedule == "wsd"
        same = self._trials[entry.job.trajectory] if wsd else [entry.number]
        return same if entry.parent is None else [*same, entry.parent]


def next_branch(study: Study, ledger: Ledger, history: History) -> tuple[Job, TrialRecord] | None:
    """The first branch that has not begun and whose parent has ended, with its parent.

    Raises:
        StudyError: the parent does not exist or is not complete, or its full checkpoint is gone.
    """
    begun = {entry.candidate for entry in history.entries}
    for i, branch in enumerate(study.file.branches):
        if branch.trial >= len(history):
            last = len(history) - 1
            raise StudyError(f"branches.{i}: no trial {branch.trial}; the last is {last}")
        parent = history.entries[branch.trial]
        if parent.open:
            continue
        job = replace(
            parent.job, recipe=branch.recipe, parent=Parent(parent.number, parent.job.identity)
        )
        if job.candidate in begun:
            continue
        if parent.state != "complete":
            raise StudyError(f"branches.{i}: trial {parent.number} is {parent.state}")
        attempts = ledger.folders.attempts(parent.number)
        if not attempts:
            raise StudyError(
                f"branches.{i}: the folder of trial {parent.number} is not in {ledger.folders.name}"
            )
        if not any(ledger.folders.checkpoints(attempt) for attempt in attempts):
            raise StudyError(
                f"branches.{i}: trial {parent.number} has no full checkpoint any more"
                " (storage.quota), so that it can only be retrained"
            )
        return job, parent
    return None
