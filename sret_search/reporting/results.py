"""The results of a study as one table, a row a trial."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from sret_search.reporting.variances import Variances
from sret_search.search import disk
from sret_search.search.entry import Entry
from sret_search.search.folders import Folders
from sret_search.search.ledger import Ledger
from sret_search.search.storage import explained
from sret_search.study import Study
from sret_search.study.contrasts import idle, takes_part
from sret_search.study.planned import Role
from sret_search.study.schema import Contrast
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

    study: Study
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
        seen = replace(study, seen=tuple(description["data"]["sizes"]))
        return cls(seen, description, entries, folders, folders.all_attempts())

    @property
    def name(self) -> str:
        return str(self.description["study"])

    @property
    def planned(self) -> int:
        """Trials that the study asks for, as far as that is known by now."""
        return max(int(self.description["trials"]), len(self.entries))

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Those that the study declares, which earlier programs did not know."""
        return [Contrast(**plain) for plain in self.description.get("contrasts", [])]

    @cached_property
    def declared(self) -> bool:
        """Whether the candidates were declared before training, as arms, as the only one, or each
        by some contrast, so that nothing is chosen among them."""
        if self.description["arms"] is not None or not self.description["axes"]:
            return True
        own = [entry for entry in self.entries if entry.role == "search"]
        return bool(self.contrasts) and all(self._in_contrast(entry) for entry in own)

    def _in_contrast(self, entry: Entry) -> bool:
        free = self._idle
        return any(
            takes_part(c, entry.values, own) for c, own in zip(self.contrasts, free, strict=True)
        )

    @cached_property
    def _idle(self) -> list[dict[str, set[str]]]:
        own = [entry.values for entry in self.entries if entry.role == "search"]
        return [idle(contrast, own, self.study.space) for contrast in self.contrasts]

    def images(self, part: str) -> int:
        """Images of a part of the data, "val" or "test"."""
        _, val, test = self.description["data"]["sizes"]
        return int(val if part == "val" else test)

    @property
    def own_objectives(self) -> list[str]:
        """Objectives that are shown only where a study has them."""
        return [name for name in ("memory", "latency_ms") if name in self.description["objectives"]]

    def shows_test(self, entry: Entry) -> bool:
        """Whether the test accuracy of a trial may be shown: nothing was chosen by it, and it was
        not chosen itself."""
        if entry.role in ("search", "twin") and self.declared:
            return True
        in_contrast = entry.role == "search" and self._in_contrast(entry)
        return in_contrast or entry.role == "confirmation"

    @cached_property
    def complete(self) -> list[Entry]:
        """The complete trials that are compared. Branches are left out: what was trained in two
        pieces does not stand beside what was trained in one. So are trials that only stand beside
        others, or chose a learning rate; and arms at a rate that is no longer theirs."""
        own = [e for e in self.entries if e.parent is None and e.role == "search"]
        declared = self.description["arms"]
        if declared is not None:
            arms = {e.number: json.dumps(e.values.get(declared["axis"])) for e in own}
            now = {arms[e.number]: e.candidate for e in own}
            if declared["lr"] is not None:
                own = [e for e in own if e.candidate == now[arms[e.number]]]
        return [e for e in own if e.state == "complete"]

    def having(self, role: Role) -> dict[str, list[Entry]]:
        """The complete trials of a role, by the name of their candidate."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.state == "complete" and entry.role == role:
                found[entry.candidate].append(entry)
        return dict(found)

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

        Accuracies are fractions. Test accuracy is there for arms and contrasts that were
        declared before training, and for trials that confirm, and empty otherwise: nothing that
        was chosen may show it. Memory (bytes) and latency (milliseconds) are there where they are objectives.
        Last columns say what a trial stands beside or was for, and of branches their parents,
        where there are such trials.
        """
        axes = list(self.description["axes"])
        rows = [
            self._row(entry) | {a: _flat(entry.values.get(a)) for a in axes}
            for entry in self.entries
        ]
        table = pd.DataFrame(rows, columns=[*COLUMNS, *axes])
        for column in ("val_accuracy", "val_loss", "test_accuracy", "seconds"):
            table[column] = table[column].astype(float)
        for axis in axes:
            kinds = {type(entry.values.get(axis)) for entry in self.entries}
            if kinds == {int, type(None)}:  # or whole numbers would no longer be whole
                table[axis] = table[axis].astype("Int64")
        for name in self.own_objectives:
            values = {e.number: e.cost.get(name, e.result.get(name)) for e in self.entries}
            table[name] = table.trial.map(values).astype(float)
        if any(entry.role != "search" for entry in self.entries):
            table["role"] = [entry.role for entry in self.entries]
            table["of"] = [entry.about.get("of") for entry in self.entries]
        if self.parents:
            table["parent"] = table.trial.map(self.parents).astype("Int64")
        return table

    def _row(self, entry: Entry) -> dict[str, Any]:
        known, result = entry.cost, entry.result
        # What a trial that is open has reached, if it came to a rung.
        waits = entry.stopped if entry.open and entry.rungs else {}
        return {
            "trial": entry.number,
            "candidate": entry.candidate,
            "state": entry.state,
            "seed": entry.seed,
            # Images of validation that were trained on tell nothing.
            "val_accuracy": None if entry.sees_validation else result.get("val_accuracy"),
            "val_loss": None if entry.sees_validation else result.get("val_loss"),
            "test_accuracy": result.get("test_accuracy") if self.shows_test(entry) else None,
            **{name: known[name] for name in _COSTS},
            "epochs": result.get("epochs", waits.get("epochs", 0)),
            "seconds": result.get("seconds", waits.get("seconds", 0.0)),
            "attempts": result.get("attempts", len(self.attempts.get(entry.number, []))),
        }

    @cached_property
    def searched(self) -> pd.DataFrame:
        """The rows of the study's own candidates, without what stands beside them."""
        return self.table[[entry.role == "search" for entry in self.entries]]

    @cached_property
    def compared(self) -> pd.DataFrame:
        """The rows of the complete trials that are compared."""
        return self.table[self.table.trial.isin([entry.number for entry in self.complete])]

    @cached_property
    def spreads(self) -> dict[str, Variances]:
        """How far seeds spread among the trials that are compared, on "val" and on "test"."""
        parts = ("val", "test")
        return {part: Variances.among(self.complete, part, self.images(part)) for part in parts}

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row a candidate with a complete trial: costs, seeds, mean validation accuracy."""
        axes = list(self.description["axes"])
        grouped = self.compared.groupby("candidate", sort=False)
        means = grouped[["val_accuracy", "val_loss", "test_accuracy", "seconds"]].mean()
        firsts = grouped[[*_COSTS, *axes]].first()
        seeds = grouped.size().rename("seeds")
        return pd.concat([seeds, means, firsts], axis=1).reset_index()

    @cached_property
    def sound(self) -> pd.DataFrame:
        """The candidates of which no seed was lost; all of them, where each lost one."""
        lost = {e.candidate for e in self.entries if e.state in ("diverged", "failed")}
        sound = self.candidates[~self.candidates.candidate.isin(lost)]
        return sound if len(sound) else self.candidates

    @property
    def best(self) -> pd.Series:
        """The candidate with the highest mean validation accuracy; the cheaper one of equals."""
        order = ["val_accuracy", "macs"]
        return self.sound.sort_values(order, ascending=[False, True], kind="stable").iloc[0]

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
