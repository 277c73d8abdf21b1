"""The results of a study as one table, a row a trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sret_search.cost import cost
from sret_search.search.ledger import Entry, Ledger
from sret_search.training.names import PREDICTIONS

COLUMNS = (
    "trial", "candidate", "state", "seed", "val_accuracy", "val_loss", "test_accuracy", "params",
    "params_once", "params_shared", "macs", "train_macs", "executions", "unique_blocks", "epochs",
    "seconds", "attempts",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """A study's description and trials, as read from its folder at one moment."""

    description: dict[str, Any]
    entries: list[Entry]
    attempts: dict[int, list[Path]]

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Read `runs/<study>`, also while it is being written.

        Raises:
            StudyError: there is no study in the folder.
        """
        ledger = Ledger.read(folder)
        entries = ledger.entries()
        attempts = {entry.number: ledger.attempts(entry.number) for entry in entries}
        description = ledger.description
        ledger.close()
        return cls(description, entries, attempts)

    @property
    def name(self) -> str:
        return str(self.description["study"])

    @property
    def declared(self) -> bool:
        """Whether the candidates were declared before training, as arms or as the only one, so
        that nothing is chosen among them."""
        return self.description["arms"] is not None or not self.description["axes"]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a trial: `COLUMNS`, then the values of the axes.

        Accuracies are fractions. Test accuracy is there for arms that were declared before
        training, and empty otherwise: nothing that was chosen may show it.
        """
        axes = list(self.description["axes"])
        rows = [
            self._row(entry) | {a: _flat(entry.values.get(a)) for a in axes}
            for entry in self.entries
        ]
        table = pd.DataFrame(rows, columns=[*COLUMNS, *axes])
        for column in ("val_accuracy", "val_loss", "test_accuracy", "seconds"):
            table[column] = table[column].astype(float)
        return table

    def _row(self, entry: Entry) -> dict[str, Any]:
        known = cost(entry.job.architecture)
        result = entry.result
        return {
            "trial": entry.number,
            "candidate": entry.job.candidate,
            "state": entry.state,
            "seed": entry.job.seed,
            "val_accuracy": result.get("val_accuracy"),
            "val_loss": result.get("val_loss"),
            "test_accuracy": result.get("test_accuracy") if self.declared else None,
            "params": known.params,
            "params_once": known.params_once,
            "params_shared": known.params_shared,
            "macs": known.macs,
            "train_macs": entry.train_macs,
            "executions": known.executions,
            "unique_blocks": known.unique_blocks,
            "epochs": result.get("epochs", 0),
            "seconds": result.get("seconds", 0.0),
            "attempts": result.get("attempts", len(self.attempts[entry.number])),
        }

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row a candidate with a complete trial: costs, seeds, mean validation accuracy."""
        complete = self.table[self.table.state == "complete"]
        axes = list(self.description["axes"])
        kept = [
            "params",
            "params_once",
            "params_shared",
            "macs",
            "train_macs",
            "executions",
            "unique_blocks",
        ]
        grouped = complete.groupby("candidate", sort=False)
        means = grouped[["val_accuracy", "val_loss", "test_accuracy", "seconds"]].mean()
        firsts = grouped[[*kept, *axes]].first()
        seeds = grouped.size().rename("seeds")
        return pd.concat([seeds, means, firsts], axis=1).reset_index()

    def right(self, entry: Entry, what: str) -> np.ndarray | None:
        """Per test image, whether it was classified right; `what` is "test" or "rerun-<i>"."""
        for attempt in self.attempts[entry.number]:
            file = attempt / PREDICTIONS
            if file.is_file():
                with np.load(file, allow_pickle=False) as arrays:
                    if what in arrays:
                        right: np.ndarray = arrays[what] == arrays["labels"]
                        return right
        return None


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
