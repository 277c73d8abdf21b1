"""Attempts at trials: those that wait for a slot, those that Ray has, and why some died."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Callback

from sret_search.artifacts.names import HANG, WORKER
from sret_search.trials import failures
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord


class Waiting:
    """Trials by the moment from which each may have its next attempt, the earliest first."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._due = [(0.0, number) for number in numbers]

    def __bool__(self) -> bool:
        return bool(self._due)

    @property
    def is_due(self) -> bool:
        """Whether a trial waits for a slot alone."""
        return bool(self._due) and self._due[0][0] <= time.monotonic()

    def add(self, number: int) -> None:
        """Let a trial wait for a slot alone, behind those that do already."""
        # The sort is stable: trials that never had to wait keep the order in which they came.
        self._put(0.0, number)

    def delay(self, number: int, seconds: float) -> None:
        """Let a trial wait for some time first."""
        self._put(time.monotonic() + seconds, number)

    def take(self) -> int | None:
        """The next trial that is due."""
        return self._due.pop(0)[1] if self.is_due else None

    def _put(self, due: float, number: int) -> None:
        self._due.append((due, number))
        self._due.sort(key=lambda each: each[0])


@dataclass(slots=True)
class Attempt:
    """An attempt at a trial that Ray has, and what its worker told of its failure.

    Attributes:
        has_trained: whether it told of an epoch.
    """

    number: int
    folder: str
    cause: str | None = None
    reason: str = ""
    has_trained: bool = False


def reason_of(
    ledger: Ledger, entry: TrialRecord, attempt: Attempt, timeout: str
) -> tuple[str, str]:
    """Why an attempt has no outcome: what its worker said, or what it left."""
    if attempt.cause not in (None, failures.DIED):
        return attempt.cause, attempt.reason
    written = ledger.error(entry, attempt.folder)
    if written is not None:
        return written["cause"], written["reason"]
    if ledger.folders.size(attempt.folder, HANG):
        return failures.HUNG, f"its worker hung (no step in {timeout}; stacks in {HANG})"
    return failures.DIED, attempt.reason or "its worker ended without a message"


def node_of(ledger: Ledger, attempt: Attempt) -> str:
    """What Ray calls the node that an attempt ran on; nothing where the attempt never began."""
    written = ledger.folders.read_json(attempt.folder, WORKER) or {}
    return str(written.get("node", ""))


class ErrorListener(Callback):
    """Tells why workers died, which Tune tells callbacks alone.

    Args:
        died: told the id of Tune's trial, and the text of its error.
    """

    def __init__(self, died: Callable[[str, str], None]) -> None:
        self.died = died

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.died(trial.trial_id, _written(trial.error_file))

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its callbacks for a restore that is never asked for."""
        return {}


def _written(file: str | None) -> str:
    """The text of Tune's file of an error. `Trial.get_error` reads a copy of it, which is made
    later."""
    try:
        return "" if file is None else Path(file).read_text(errors="replace")
    except OSError:
        return ""
