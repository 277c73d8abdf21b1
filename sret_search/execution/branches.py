"""Trials that go on where another one ended: each has a parent, and a recipe of its own."""

from __future__ import annotations

from dataclasses import replace

from sret_search.job import Job, Parent
from sret_search.study import Study, StudyError
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord


def next_branch(study: Study, ledger: Ledger, history: History) -> tuple[Job, TrialRecord] | None:
    """The first branch that has not begun and whose parent has ended, and its parent.

    Raises:
        StudyError: the parent is no complete trial, or its full checkpoint is gone.
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
