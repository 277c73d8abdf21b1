"""The results of a study as one table, a row a trial."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from sret_search.search import disk
from sret_search.search.entry import Entry
from sret_search.search.folders import Folders
from sret_search.search.ledger import Ledger
from sret_search.search.storage import explained
from sret_search.study import Study
from sret_search.training.names import PREDICTIONS

_COSTS = (
    "params", "params_once", "params_shared", "macs", "train_macs", "executions", "unique_blocks",
)  # fmt: skip
COLUMNS = (
    "trial", "candidate", "state", "seed", "val_accuracy", "val_loss", "test_accuracy", *_COSTS,
    "epochs", "seconds", "attempts",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """A study's description and trials, as read from its ledger and folders at one moment."""

    description: dict[str, Any]
    entries: list[Entry]
    folders: Folders
    attempts: dict[int, list[str]]

    @classmethod
    def read(cls, study: Study) -> Results:
        """Read a study, also while it is being written.

        Raises:
            StudyError: it was never run, or cannot be read.
        """
        with explained(study):
            ledger = Ledger.read(study)
            entries, description, folders = ledger.entries(), ledger.description, ledger.folders
            ledger.close()
        return cls(description, entries, folders, folders.all_attempts())

    @property
    def name(self) -> str:
        return str(self.description["study"])

    @property
    def declared(self) -> bool:
        """Whether the candidates were declared before training, as arms or as the only one, so
        that nothing is chosen among them."""
        return self.description["arms"] is not None or not self.description["axes"]

    @cached_property
    def complete(self) -> list[Entry]:
        """The complete trials that are compared. Branches are left out: what was trained in two
        pieces does not stand beside what was trained in one."""
        return [e for e in self.entries if e.state == "complete" and e.parent is None]

    @cached_property
    def parents(self) -> dict[int, int]:
        """The trial that each branch goes on from."""
        return {e.number: e.parent for e in self.entries if e.parent is not None}

    @cached_property
    def only_retrainable(self) -> list[int]:
        """Complete trials whose full checkpoint is gone, so that nothing can go on from them."""
        return disk.only_retrainable(self.folders, self.attempts, self.entries)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a trial: `COLUMNS`, then the values of the axes.

        Accuracies are fractions. Test accuracy is there for arms that were declared before
        training, and empty otherwise: nothing that was chosen may show it. Where there are
        branches, a last column names their parents.
        """
        axes = list(self.description["axes"])
        rows = [
            self._row(entry) | {a: _flat(entry.values.get(a)) for a in axes}
            for entry in self.entries
        ]
        table = pd.DataFrame(rows, columns=[*COLUMNS, *axes])
        for column in ("val_accuracy", "val_loss", "test_accuracy", "seconds"):
            table[column] = table[column].astype(float)
        if self.parents:
            table["parent"] = table.trial.map(self.parents).astype("Int64")
        return table

    def _row(self, entry: Entry) -> dict[str, Any]:
        known, result = entry.cost, entry.result
        return {
            "trial": entry.number,
            "candidate": entry.candidate,
            "state": entry.state,
            "seed": entry.seed,
            "val_accuracy": result.get("val_accuracy"),
            "val_loss": result.get("val_loss"),
            "test_accuracy": result.get("test_accuracy") if self.declared else None,
            **{name: known[name] for name in _COSTS},
            "epochs": result.get("epochs", 0),
            "seconds": result.get("seconds", 0.0),
            "attempts": result.get("attempts", len(self.attempts.get(entry.number, []))),
        }

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row a candidate with a complete trial: costs, seeds, mean validation accuracy."""
        complete = self.table[self.table.trial.isin([entry.number for entry in self.complete])]
        axes = list(self.description["axes"])
        grouped = complete.groupby("candidate", sort=False)
        means = grouped[["val_accuracy", "val_loss", "test_accuracy", "seconds"]].mean()
        firsts = grouped[[*_COSTS, *axes]].first()
        seeds = grouped.size().rename("seeds")
        return pd.concat([seeds, means, firsts], axis=1).reset_index()

    def right(self, entry: Entry, what: str) -> np.ndarray | None:
        """Per test image, whether it was classified right; `what` is "test" or "rerun-<i>"."""
        for attempt in self.attempts.get(entry.number, []):
            # A file that is damaged in any way is as good as absent.
            with suppress(OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error):
                file = self.folders.open(attempt, PREDICTIONS)
                with np.load(file, allow_pickle=False) as arrays:
                    right: np.ndarray = arrays[what] == arrays["labels"]
                    return right
        return None


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
