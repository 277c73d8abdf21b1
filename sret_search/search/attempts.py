"""Attempts at trials that Ray has, and what it says of those that died."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

if TYPE_CHECKING:
    from sret_search.search.searcher import LedgerSearcher


@dataclass(slots=True)
class Attempt:
    """An attempt at a trial that Ray has, and what its worker told of its failure."""

    number: int
    folder: str
    cause: str | None = None
    reason: str = ""


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
