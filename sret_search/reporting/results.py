"""The results of a study as a table, a row for each trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from sret_search.config.study_file import Contrast
from sret_search.pareto import pareto
from sret_search.planning.plan import Role
from sret_search.reporting.declared import Declared, described_trials
from sret_search.reporting.statistics.pooled_variance import Variances
from sret_search.space.candidate import STORED
from sret_search.study import Study
from sret_search.study.description import StudyDescription
from sret_search.study.load import recorded
from sret_search.trials import compatibility, packed, retention
from sret_search.trials.database import explained
from sret_search.trials.declarations import Declaration
from sret_search.trials.depth_records import DepthFiles, DepthRecords, KnownRecords
from sret_search.trials.ledger import Ledger
from sret_search.trials.packed import Packed
from sret_search.trials.predictions import Outcomes, Predictions
from sret_search.trials.trial import TrialRecord, by_candidate

Analysed = TypeVar("Analysed")

_COSTS = (
    "params", "params_once", "params_shared", "macs", "train_macs", "executions", "unique_blocks",
)  # fmt: skip
COLUMNS = (
    "trial", "candidate", "state", "seed", "val_accuracy", "val_loss", "test_accuracy", *_COSTS,
    "epochs", "seconds", "attempts",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """A study's description and trials, read from its ledger and folders at one moment.

    Attributes:
        study: the study as the ledger describes it, which may differ from the study file by now.
        description: the same description as stored, with the text of both files.
        edited: differences between study file and ledger, a text for each field.
        declarations: what the study declared, by run. Empty for ledgers of earlier program
            versions.
        outcomes: which images each trial classified correctly.
        depths: the effect of each execution in monitored trials.
    """

    study: Study
    description: StudyDescription
    entries: list[TrialRecord]
    outcomes: Outcomes
    attempts: dict[int, list[str]]
    only_retrainable: list[int]
    declarations: list[Declaration] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    depths: DepthRecords = field(default_factory=KnownRecords)

    @classmethod
    def read(cls, study: Study) -> Results:
        """Read a study, also while it is being written. Reads the packed ledger if the study never
        ran here.

        Args:
            study: the study file, with the place of the ledger.

        Raises:
            StudyError: the study never ran, or cannot be read.
        """
        attempts: dict[int, list[str]] = {}
        if packed.stands_for(study):
            content = packed.read(study)
        else:
            with explained(study):
                ledger = Ledger.read(study)
                entries, folders = ledger.entries(), ledger.folders
                about = ledger.description, ledger.declarations
                ledger.close()
            attempts = folders.all_attempts()
            gone = retention.only_retrainable(folders, attempts, entries)
            content = Packed(
                *about, entries, gone,
                Predictions(folders, attempts), DepthFiles(folders, attempts),
            )  # fmt: skip
        return cls(
            study=recorded(study, content.description),
            description=content.description,
            entries=content.entries,
            outcomes=content.outcomes,
            depths=content.depths,
            attempts=attempts,
            only_retrainable=content.only_retrainable,
            declarations=content.declarations,
            edited=compatibility.differences(study, content.description),
        )

    @cached_property
    def _analysed(self) -> dict[Callable[..., Any], Any]:
        return {}

    def once(self, analysis: Callable[[Results], Analysed]) -> Analysed:
        """The result of an analysis of these results. It is computed once, at the first call."""
        if analysis not in self._analysed:
            self._analysed[analysis] = analysis(self)
        result: Analysed = self._analysed[analysis]
        return result

    @property
    def packed(self) -> Packed:
        """The content of a packed ledger."""
        return Packed(
            *(self.description, self.declarations, self.entries, self.only_retrainable),
            self.outcomes,
            self.depths,
        )

    @property
    def name(self) -> str:
        return self.study.name

    @property
    def planned(self) -> int:
        """The number of trials that the study asks for, as far as it is known by now."""
        return max(self.description.trials, len(self.entries))

    @cached_property
    def _declared(self) -> Declared:
        declarations = self.declarations or [Declaration(self.description, "", None, None)]
        return Declared(
            [
                recorded(self.study, declaration.description)
                for declaration in declarations
                if declaration.is_before_results
            ],
            self.entries,
        )

    @cached_property
    def declared(self) -> bool:
        """Whether all compared candidates were declared before any result was known. Then nothing
        is chosen among them, and the test accuracy of each may be shown."""
        return all(self.shows_test(entry) for entry in self.complete)

    def is_declared(self, contrast: Contrast) -> bool:
        """Whether a contrast was declared before any result was known."""
        return self._declared.has_contrast(contrast)

    def images(self, part: str) -> int:
        """The number of images of a part of the data, "val" or "test"."""
        _, val, test = self.study.sizes
        return val if part == "val" else test

    @property
    def optional_objectives(self) -> list[str]:
        """Objectives that are shown only if the study has them."""
        names = ("memory", *STORED, "latency_ms")
        return [name for name in names if name in self.study.file.objectives]

    def shows_test(self, entry: TrialRecord) -> bool:
        """Whether the test accuracy of a trial may be shown: it chose nothing, and it was not
        chosen itself."""
        return entry.role == "confirmation" or self._declared.shows_test(entry)

    @cached_property
    def comparable(self) -> list[TrialRecord]:
        """The trials of the candidates that are compared: those that the stored description trains.

        Left out are trials of another recipe, space or budget, trials of other roles, and arms at a
        rate that is no longer the chosen rate. Branches are left out too, since a training in two
        pieces is not comparable with a training in one piece.
        """
        numbers = described_trials(self.study, self.entries)
        kept = [entry for entry in self.entries if entry.number in numbers]
        arms = self.study.file.arms
        if arms is not None and arms.lr is not None:
            value_of = {entry.number: json.dumps(entry.values.get(arms.axis)) for entry in kept}
            last = {value_of[entry.number]: entry.candidate for entry in kept}
            kept = [entry for entry in kept if entry.candidate == last[value_of[entry.number]]]
        return kept

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The complete trials that are compared."""
        return [entry for entry in self.comparable if entry.state == "complete"]

    def having(self, role: Role) -> dict[str, list[TrialRecord]]:
        """The complete trials of a role, by candidate name."""
        return by_candidate(e for e in self.entries if e.state == "complete" and e.role == role)

    @cached_property
    def parents(self) -> dict[int, int]:
        """The parent trial of each branch, by number."""
        return {e.number: e.parent for e in self.entries if e.parent is not None}

    @cached_property
    def table(self) -> pd.DataFrame:
        """A table with a row for each trial: `COLUMNS`, then the values of the axes.

        Accuracies are fractions. Test accuracy is given for arms and contrasts that were declared
        before training, and for confirmations. Otherwise it is empty, since a chosen trial may not
        show it. Memory and stored weights (bytes) and latency (milliseconds) are given if they are objectives. Role,
        compared candidate and parent trial are given if there are other roles or branches.
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
            if kinds == {int, type(None)}:  # or whole numbers would become floats
                table[axis] = table[axis].astype("Int64")
        for name in self.optional_objectives:
            values = {e.number: e.cost.get(name, e.result.latency_ms) for e in self.entries}
            table[name] = table.trial.map(values).astype(float)
        if any(entry.role != "search" for entry in self.entries):
            table["role"] = [entry.role for entry in self.entries]
            table["of"] = [entry.of for entry in self.entries]
        if self.parents:
            table["parent"] = table.trial.map(self.parents).astype("Int64")
        return table

    def _row(self, entry: TrialRecord) -> dict[str, Any]:
        cost, result = entry.cost, entry.result
        # An open trial has the values of its last rung, if it reached a rung.
        reached = entry.stopped if entry.open and entry.rungs else result
        return {
            "trial": entry.number,
            "candidate": entry.candidate,
            "state": entry.state,
            "seed": entry.seed,
            # Validation images that were trained on say nothing.
            "val_accuracy": None if entry.sees_validation else result.val_accuracy,
            "val_loss": None if entry.sees_validation else result.val_loss,
            "test_accuracy": result.test_accuracy if self.shows_test(entry) else None,
            **{name: cost[name] for name in _COSTS},
            "epochs": reached.epochs or 0,
            "seconds": reached.seconds or 0.0,
            "attempts": len(self.attempts.get(entry.number, []))
            if result.attempts is None
            else result.attempts,
        }

    @cached_property
    def searched(self) -> pd.DataFrame:
        """The rows of the study's candidates, without trials of other roles."""
        return self.table[[entry.role == "search" for entry in self.entries]]

    @cached_property
    def compared(self) -> pd.DataFrame:
        """The rows of the complete trials that are compared."""
        return self.table[self.table.trial.isin([entry.number for entry in self.complete])]

    @cached_property
    def spreads(self) -> dict[str, Variances]:
        """The spread over seeds among the compared trials, on "val" and on "test". On test only
        trials that may show their accuracy count."""
        by_part = {"val": self.complete, "test": [e for e in self.complete if self.shows_test(e)]}
        return {part: self.spread(entries, part) for part, entries in by_part.items()}

    def spread(self, entries: Iterable[TrialRecord], part: str) -> Variances:
        """The spread over seeds among some trials, on "val" or on "test"."""
        folds = self.study.file.data.folds
        return Variances.from_trials(entries, part, self.images(part), folds)

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """A table with a row for each candidate that has a complete trial: costs, seeds, mean
        validation accuracy."""
        axes = list(self.study.space.axes)
        grouped = self.compared.groupby("candidate", sort=False)
        means = grouped[["val_accuracy", "val_loss", "test_accuracy", "seconds"]].mean()
        firsts = grouped[[*_COSTS, *axes]].first()
        seeds = grouped.size().rename("seeds")
        # With a loss that is not finite there is no mean: the other seeds are only the lucky seeds.
        means["val_loss"] = means.val_loss.where(grouped.val_loss.count() == seeds)
        return pd.concat([seeds, means, firsts], axis=1).reset_index()

    @cached_property
    def sound(self) -> pd.DataFrame:
        """The candidates of which no seed diverged or failed, and whose score is a number. Only
        these may be on a front, best, or in a law. Of other candidates only the lucky seeds
        remain."""
        is_known = np.isfinite(self.scores(self.candidates))
        return self.candidates[is_known & ~self.candidates.candidate.isin(self.lost)]

    @cached_property
    def lost(self) -> set[str]:
        """The names of candidates and twins of which a seed diverged or failed."""
        return {
            entry.candidate
            for entry in self.entries
            if entry.state in ("diverged", "failed")
            and entry.role in ("search", "twin")
            and entry.parent is None
        }

    @property
    def measure(self) -> Literal["accuracy", "loss"]:
        """The objective that chooses candidates: loss if the study has it without accuracy, else
        accuracy."""
        objectives = self.study.file.objectives
        return "loss" if "loss" in objectives and "accuracy" not in objectives else "accuracy"

    def scores(self, table: pd.DataFrame) -> np.ndarray:
        """The score of each candidate of a table on validation, more is better: accuracy, or minus
        loss."""
        column = table.val_accuracy if self.measure == "accuracy" else -table.val_loss
        return np.asarray(column, float)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The sound candidates that no other sound candidate dominates in validation score and
        parameters, sorted by parameters."""
        table = self.sound
        on_front = table[pareto(list(self.scores(table)), list(table.params))]
        return on_front.sort_values(["params", "macs"], kind="stable")

    @property
    def best(self) -> pd.Series | None:
        """The sound candidate with the best validation score, among equals the cheaper. None if
        there is none."""
        table = self.sound.assign(score=self.scores(self.sound))
        order = table.sort_values(["score", "macs"], ascending=[False, True], kind="stable")
        return order.iloc[0] if len(order) else None

    def right(self, entry: TrialRecord, evaluation: str) -> np.ndarray | None:
        """Whether each test image was classified correctly. None if unknown. `evaluation` is "test"
        or "rerun-<i>"."""
        return self.outcomes.right(entry.number, evaluation)


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
