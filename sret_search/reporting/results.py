"""The results of a study as one table, a row a trial."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from sret_search.config.study_file import Contrast
from sret_search.pareto import pareto
from sret_search.planning.plan import Role
from sret_search.reporting.declared import Declared, own_trials
from sret_search.reporting.statistics.pooled_variance import Variances
from sret_search.study import Study
from sret_search.study.load import recorded
from sret_search.trials import compatibility, packed, retention
from sret_search.trials.database import explained
from sret_search.trials.declarations import Declaration
from sret_search.trials.ledger import Ledger
from sret_search.trials.packed import Packed
from sret_search.trials.predictions import Outcomes, Predictions
from sret_search.trials.trial import TrialRecord

Found = TypeVar("Found")

_COSTS = (
    "params", "params_once", "params_shared", "macs", "train_macs", "executions", "unique_blocks",
)  # fmt: skip
COLUMNS = (
    "trial", "candidate", "state", "seed", "val_accuracy", "val_loss", "test_accuracy", *_COSTS,
    "epochs", "seconds", "attempts",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """A study's description and trials, as read from its ledger and folders at one moment.

    Attributes:
        study: as the ledger describes it, not as the study file has it now; what a page says of
            what ran comes from here.
        description: the same as it is stored, with the text of both files.
        edited: in what the study file differs from the ledger, a text for each field.
        declarations: what the study declared, run after run; empty of earlier programs.
        outcomes: per image, what each trial classified right.
    """

    study: Study
    description: dict[str, Any]
    entries: list[TrialRecord]
    outcomes: Outcomes
    attempts: dict[int, list[str]]
    only_retrainable: list[int]
    declarations: list[Declaration] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, study: Study) -> Results:
        """Read a study, also while it is being written; its packed ledger, where it was never run
        here.

        Args:
            study: the study file, which says where the ledger is.

        Raises:
            StudyError: it was never run, or cannot be read.
        """
        if packed.stands_for(study):
            return cls._from_packed(study)
        with explained(study):
            ledger = Ledger.read(study)
            entries, description, folders = ledger.entries(), ledger.description, ledger.folders
            declarations = ledger.declarations
            ledger.close()
        attempts = folders.all_attempts()
        return cls(
            study=recorded(study, description),
            description=description,
            entries=entries,
            outcomes=Predictions(folders, attempts),
            attempts=attempts,
            only_retrainable=retention.only_retrainable(folders, attempts, entries),
            declarations=declarations,
            edited=compatibility.differences(study, description),
        )

    @classmethod
    def _from_packed(cls, study: Study) -> Results:
        found = packed.read(study)
        return cls(
            study=recorded(study, found.description),
            description=found.description,
            entries=found.entries,
            outcomes=found.outcomes,
            attempts={},
            only_retrainable=found.only_retrainable,
            declarations=found.declarations,
            edited=compatibility.differences(study, found.description),
        )

    @cached_property
    def _known(self) -> dict[Callable[..., Any], Any]:
        return {}

    def once(self, analysis: Callable[[Results], Found]) -> Found:
        """What an analysis finds in these results: worked out once, whoever asks for it."""
        if analysis not in self._known:
            self._known[analysis] = analysis(self)
        found: Found = self._known[analysis]
        return found

    @property
    def packed(self) -> Packed:
        """All that a packed ledger keeps."""
        return Packed(
            *(self.description, self.declarations, self.entries, self.only_retrainable),
            self.outcomes,
        )

    @property
    def name(self) -> str:
        return self.study.name

    @property
    def planned(self) -> int:
        """Trials that the study asks for, as far as that is known by now."""
        return max(int(self.description["trials"]), len(self.entries))

    @cached_property
    def _declared(self) -> Declared:
        known = self.declarations or [Declaration(self.description, "", None, None)]
        return Declared(
            [
                recorded(self.study, declaration.description)
                for declaration in known
                if declaration.is_before_results
            ],
            self.entries,
        )

    @cached_property
    def declared(self) -> bool:
        """Whether all candidates that are compared were declared before any result was known, so
        that nothing is chosen among them and test accuracy may be shown of each."""
        return all(self.shows_test(entry) for entry in self.complete)

    def is_declared(self, contrast: Contrast) -> bool:
        """Whether a contrast was declared before any result was known."""
        return self._declared.has(contrast)

    def images(self, part: str) -> int:
        """Images of a part of the data, "val" or "test"."""
        _, val, test = self.study.sizes
        return val if part == "val" else test

    @property
    def own_objectives(self) -> list[str]:
        """Objectives that are shown only where a study has them."""
        return [name for name in ("memory", "latency_ms") if name in self.study.file.objectives]

    def shows_test(self, entry: TrialRecord) -> bool:
        """Whether the test accuracy of a trial may be shown: nothing was chosen by it, and it was
        not chosen itself."""
        return entry.role == "confirmation" or self._declared.shows_test(entry)

    @cached_property
    def own(self) -> list[TrialRecord]:
        """The trials of candidates that are compared: those that the description in force trains.

        Left out are trials of another recipe, space or budget; branches, since what was trained
        in two pieces does not stand beside what was trained in one; trials that only stand beside
        others, or chose a learning rate; and arms at a rate that is no longer theirs.
        """
        numbers = own_trials(self.study, self.entries)
        own = [entry for entry in self.entries if entry.number in numbers]
        arms = self.study.file.arms
        if arms is not None and arms.lr is not None:
            of = {entry.number: json.dumps(entry.values.get(arms.axis)) for entry in own}
            last = {of[entry.number]: entry.candidate for entry in own}
            own = [entry for entry in own if entry.candidate == last[of[entry.number]]]
        return own

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The complete trials that are compared."""
        return [entry for entry in self.own if entry.state == "complete"]

    def having(self, role: Role) -> dict[str, list[TrialRecord]]:
        """The complete trials of a role, by the name of their candidate."""
        found: dict[str, list[TrialRecord]] = defaultdict(list)
        for entry in self.entries:
            if entry.state == "complete" and entry.role == role:
                found[entry.candidate].append(entry)
        return dict(found)

    @cached_property
    def parents(self) -> dict[int, int]:
        """The trial that each branch goes on from."""
        return {e.number: e.parent for e in self.entries if e.parent is not None}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a trial: `COLUMNS`, then the values of the axes.

        Accuracies are fractions. Test accuracy is there for arms and contrasts that were
        declared before training, and for trials that confirm, and empty otherwise: nothing that
        was chosen may show it. Memory (bytes) and latency (milliseconds) are there where they are objectives.
        Last columns say what a trial stands beside or was for, and of branches their parents,
        where there are such trials.
        """
        axes = list(self.study.space.axes)
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
            values = {e.number: e.cost.get(name, e.result.latency_ms) for e in self.entries}
            table[name] = table.trial.map(values).astype(float)
        if any(entry.role != "search" for entry in self.entries):
            table["role"] = [entry.role for entry in self.entries]
            table["of"] = [entry.of for entry in self.entries]
        if self.parents:
            table["parent"] = table.trial.map(self.parents).astype("Int64")
        return table

    def _row(self, entry: TrialRecord) -> dict[str, Any]:
        known, result = entry.cost, entry.result
        # What a trial that is open has reached, if it came to a rung.
        waits = entry.stopped if entry.open and entry.rungs else result
        return {
            "trial": entry.number,
            "candidate": entry.candidate,
            "state": entry.state,
            "seed": entry.seed,
            # Images of validation that were trained on tell nothing.
            "val_accuracy": None if entry.sees_validation else result.val_accuracy,
            "val_loss": None if entry.sees_validation else result.val_loss,
            "test_accuracy": result.test_accuracy if self.shows_test(entry) else None,
            **{name: known[name] for name in _COSTS},
            "epochs": waits.epochs or 0,
            "seconds": waits.seconds or 0.0,
            "attempts": len(self.attempts.get(entry.number, []))
            if result.attempts is None
            else result.attempts,
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
        """How far seeds spread among the trials that are compared, on "val" and on "test"; on test
        among those alone that show it."""
        shown = {"val": self.complete, "test": [e for e in self.complete if self.shows_test(e)]}
        return {part: self.spread(entries, part) for part, entries in shown.items()}

    def spread(self, entries: Iterable[TrialRecord], part: str) -> Variances:
        """How far seeds spread among some trials, on "val" or on "test"."""
        folds = self.study.file.data.folds
        return Variances.among(entries, part, self.images(part), folds)

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row a candidate with a complete trial: costs, seeds, mean validation accuracy."""
        axes = list(self.study.space.axes)
        grouped = self.compared.groupby("candidate", sort=False)
        means = grouped[["val_accuracy", "val_loss", "test_accuracy", "seconds"]].mean()
        firsts = grouped[[*_COSTS, *axes]].first()
        seeds = grouped.size().rename("seeds")
        # A loss that is no number leaves none: the mean of the others would be of the lucky seeds.
        means["val_loss"] = means.val_loss.where(grouped.val_loss.count() == seeds)
        return pd.concat([seeds, means, firsts], axis=1).reset_index()

    @cached_property
    def sound(self) -> pd.DataFrame:
        """The candidates of which no seed diverged or failed, and whose score is a number. Only
        these are on a front, best, or in a law: the seeds that are left of the others are the lucky
        ones."""
        is_known = np.isfinite(self.scores(self.candidates))
        return self.candidates[is_known & ~self.candidates.candidate.isin(self.lost)]

    @cached_property
    def lost(self) -> set[str]:
        """The candidates and twins of which a seed diverged or failed."""
        return {
            entry.candidate
            for entry in self.entries
            if entry.state in ("diverged", "failed")
            and entry.role in ("search", "twin")
            and entry.parent is None
        }

    @property
    def measure(self) -> Literal["accuracy", "loss"]:
        """The objective that candidates are chosen by: accuracy, or loss where a study has that
        instead."""
        objectives = self.study.file.objectives
        return "loss" if "loss" in objectives and "accuracy" not in objectives else "accuracy"

    def scores(self, table: pd.DataFrame) -> np.ndarray:
        """How good each candidate of a table is on validation; more is better: its accuracy, or
        minus its loss."""
        column = table.val_accuracy if self.measure == "accuracy" else -table.val_loss
        return np.asarray(column, float)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The sound candidates that no other one beats on validation and in parameters, by
        parameters."""
        table = self.sound
        on_front = table[pareto(list(self.scores(table)), list(table.params))]
        return on_front.sort_values(["params", "macs"], kind="stable")

    @property
    def best(self) -> pd.Series | None:
        """The sound candidate that is best on validation, the cheaper one of equals; None where
        there is none."""
        table = self.sound.assign(score=self.scores(self.sound))
        order = table.sort_values(["score", "macs"], ascending=[False, True], kind="stable")
        return order.iloc[0] if len(order) else None

    def right(self, entry: TrialRecord, what: str) -> np.ndarray | None:
        """Per test image, whether it was classified right; `what` is "test" or "rerun-<i>"."""
        return self.outcomes.right(entry.number, what)


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
