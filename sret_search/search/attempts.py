"""Attempts at trials that Ray has, and what it says of those that died."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from sret_search.search import failures
from sret_search.search.entry import Entry
from sret_search.search.ledger import Ledger
from sret_search.training.names import HANG, WORKER

if TYPE_CHECKING:
    from sret_search.search.searcher import LedgerSearcher


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


def reason_of(ledger: Ledger, entry: Entry, attempt: Attempt, timeout: str) -> tuple[str, str]:
    """Why an attempt has no outcome: what its worker said, or what it left."""
    if attempt.cause not in (None, failures.DIED):
        return attempt.cause, attempt.reason
    written = ledger.error(entry, attempt.folder)
    if written is not None:
        return written["cause"], written["reason"]
    if ledger.folders.size(attempt.folder, HANG):
        return failures.HUNG, f"its worker hung (no step in {timeout}; stacks in {HANG})"
    return failures.DIED, attempt.reason or "its worker ended without a word"


def node_of(ledger: Ledger, attempt: Attempt) -> str:
    """What Ray calls the node that an attempt ran on; nothing where the attempt never began."""
    written = ledger.folders.read_json(attempt.folder, WORKER) or {}
    return str(written.get("node", ""))


class Deaths(Callback):
    """Tells the searcher why workers died, which Tune tells callbacks alone."""

    def __init__(self, searcher: LedgerSearcher) -> None:
        self.searcher = searcher

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.died(trial.trial_id, _written(trial.error_file))

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
