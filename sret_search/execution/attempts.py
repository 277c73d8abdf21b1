"""Attempts at trials: waiting for a slot, running on Ray, and the reasons of failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Callback

from sret_search.artifacts.names import HANG, WORKER
from sret_search.execution.messages import WorkerProcess
from sret_search.trials import failures, worker_files
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord


class Waiting:
    """Queue of trials, in order of the time from which each may have its next attempt."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._due = [(0.0, number) for number in numbers]

    def __bool__(self) -> bool:
        return bool(self._due)

    @property
    def is_due(self) -> bool:
        """Whether a trial waits only for a slot."""
        return bool(self._due) and self._due[0][0] <= time.monotonic()

    def add(self, number: int) -> None:
        """Add a trial that waits only for a slot, behind those that do already."""
        # The sort is stable: trials without a delay keep their order.
        self._put(0.0, number)

    def delay(self, number: int, seconds: float) -> None:
        """Add a trial that first waits for some seconds."""
        self._put(time.monotonic() + seconds, number)

    def take(self) -> int | None:
        """Remove and return the next trial that is due; None if there is none."""
        return self._due.pop(0)[1] if self.is_due else None

    def _put(self, due: float, number: int) -> None:
        self._due.append((due, number))
        self._due.sort(key=lambda each: each[0])


@dataclass(slots=True)
class Attempt:
    """An attempt that Ray runs, with the failure that its worker reported.

    Attributes:
        number: of the trial.
        has_trained: whether it has reported an epoch.
    """

    number: int
    folder: str
    cause: str | None = None
    reason: str = ""
    has_trained: bool = False


def reason_of(
    ledger: Ledger, entry: TrialRecord, attempt: Attempt, timeout: str
) -> tuple[str, str]:
    """The cause and reason of an attempt without an outcome, from its worker's report or files."""
    if attempt.cause not in (None, failures.DIED):
        return attempt.cause, attempt.reason
    written = worker_files.error(ledger.folders, entry, attempt.folder)
    if written is not None:
        return str(written.cause), str(written.reason)
    if ledger.folders.size(attempt.folder, HANG):
        return failures.HUNG, f"its worker hung (no step in {timeout}; stacks in {HANG})"
    return failures.DIED, attempt.reason or "its worker ended without a message"


def node_of(ledger: Ledger, attempt: Attempt) -> str:
    """The id of the node on which an attempt ran; empty if the attempt never began."""
    written = ledger.folders.read_json(attempt.folder, WORKER)
    return "" if written is None else WorkerProcess.from_dict(written).node


class ErrorListener(Callback):
    """Reports why workers died. Tune gives the reason only to callbacks.

    Args:
        died: called with the id of Tune's trial and the text of its error.
    """

    def __init__(self, died: Callable[[str, str], None]) -> None:
        self.died = died

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.died(trial.trial_id, _written(trial.error_file))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out all state. Ray pickles its callbacks for a restore that never happens."""
        return {}


def _written(file: str | None) -> str:
    """The text of Tune's file of an error. `Trial.get_error` reads a copy, which is made later."""
    try:
        return "" if file is None else Path(file).read_text(errors="replace")
    except OSError:
        return ""
