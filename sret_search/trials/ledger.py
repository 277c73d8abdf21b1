"""The ledger: an Optuna study in a database, with all trials and their results.

A trial is created as RUNNING, with all inputs of its training, in one commit before any work
starts. Its result is written to the trial's folder first, then here. After a crash a missing result
is read from the folder (`outcome`), so no finished training is repeated.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.job import Job
from sret_search.planning.plan import Role
from sret_search.space.candidate import Values
from sret_search.study import Study, StudyError
from sret_search.study.description import StudyDescription
from sret_search.trials import compatibility, digests, rows, study_attributes, worker_files
from sret_search.trials.about import About
from sret_search.trials.database import (
    DiskFullError,
    LedgerAwayError,
    erase,
    explained,
    open_storage,
    place,
    read_storage,
    stored_study,
    undamaged,
    writing,
)
from sret_search.trials.declarations import Declaration, next_declarations
from sret_search.trials.lease import Lease
from sret_search.trials.objectives import objective_values
from sret_search.trials.study_attributes import StudyAttributes
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import OPTUNA_STATES, RungResult, TrialResult

# Metric names and the grouped TPE are "experimental" in Optuna 5. Its version is pinned.
warnings.filterwarnings("ignore", category=ExperimentalWarning)
optuna.logging.set_verbosity(optuna.logging.ERROR)

_T = TypeVar("_T")


def _raise(error: Exception) -> None:
    raise error


class Ledger:
    """The trials of a study: each has a row in the database, and a folder."""

    def __init__(
        self, study: Study, storage: RDBStorage, stored: optuna.Study, lease: Lease | None
    ) -> None:
        self.folders = TrialFolders(study.trials_root)
        self._study = study
        self._storage, self._study_id, self._lease = storage, stored._study_id, lease
        self._disk, self._origin = study.folder, study.origin
        with undamaged(study):
            self._attributes = study_attributes.read(stored.user_attrs, place(study))
            described = self._attributes.description
            self._stored = {} if described is None else _distributions(described.stored_axes)
        self._known: list[int] | None = None
        self.last_path: str | None = None
        """The study file of the last run, if it was another one."""
        self.last_root: str | None = None
        """The place of the trials' folders in the last run, if it was another one."""
        self.wait_for_space: Callable[[str], None] = lambda reason: time.sleep(1)
        """Called repeatedly while the database's disk is full."""
        self.wait_for_server: Callable[[LedgerAwayError], None] = _raise
        """Called repeatedly while the database's server cannot be reached."""

    @classmethod
    def create(cls, study: Study, lease: Lease | None = None) -> Ledger:
        """Open the ledger of a study to write to it. A missing ledger is made.

        Raises:
            StudyError: the database cannot be used, or its trials cannot be compared with those of
                the present study. The message names the differences.
        """
        with explained(study):
            storage = open_storage(study)
            stored, before = stored_study(storage, study)
            with_secrets = study_attributes.hold_secrets(stored.user_attrs)
            ledger = cls(study, storage, stored, lease)
            axes_before = {} if before is None else before.stored_axes
            axes = compatibility.stored_axes(study, axes_before)
            description = compatibility.describe(study).changed(stored=axes)
            ledger._grow(axes_before, axes)
            # The declaration must be durable before any trial begins under it.
            ledger._declare(description)
            ledger._remember("study", replace(ledger._attributes, description=description))
            if with_secrets:
                ledger._erase_secrets()
        if before is not None:
            path, root = before.path, before.root
            ledger.last_path = path if path != description.path else None
            ledger.last_root = root if root != description.root else None
        return ledger

    @classmethod
    def read(cls, study: Study) -> Ledger:
        """Open the ledger of a study to read it. Another process may write to it meanwhile.

        Raises:
            StudyError: there is none, or it cannot be read.
        """
        with explained(study), undamaged(study):
            storage = read_storage(study)
            stored = optuna.load_study(storage=storage, study_name=study.name)
            begun = "study" in stored.user_attrs
        if not begun:
            raise StudyError(f"{place(study)} has no study yet; run it first")
        return cls(study, storage, stored, None)

    @property
    def description(self) -> StudyDescription:
        """The description of the study, from its last run."""
        description = self._attributes.description
        assert description is not None, "the study has not run"
        return description

    @property
    def declarations(self) -> list[Declaration]:
        """The declarations of the study, in the order of its runs; earlier programs stored none."""
        return list(self._attributes.declarations)

    @property
    def window(self) -> int | None:
        """Number of trials by which the results used for a trial lie behind it.

        None before `freeze`, and in the order "eager".
        """
        return self._attributes.window

    def freeze(self, window: int) -> None:
        """Fix the window of a study in strict order, unless it is already fixed."""
        if self.window is None and self.description.order == "strict":
            self._remember("window", replace(self._attributes, window=window))

    def entries(self) -> list[TrialRecord]:
        """Read every trial from the database, in order of number.

        Raises:
            StudyError: the database is damaged.
            LedgerLostError: it cannot be read.
        """
        with (
            writing(self._disk),
            undamaged(self._study),
            self._storage.engine.connect() as connection,
        ):
            stored = list(rows.entries(connection, self._study_id))
        self._known = [trial_id for trial_id, _ in stored]
        return [entry for _, entry in stored]

    def begin(
        self,
        job: Job,
        values: Values,
        images: int,
        role: Role = "search",
        about: About | None = None,
    ) -> TrialRecord:
        """Record a trial that is about to start.

        Args:
            values: of the axes, by path.
            images: number of images on which it trains.
            role: the reason for the trial.
            about: its relation to a candidate; None for a trial of the search.
        """
        entry = TrialRecord.begun(
            *(len(self._ids), job, values, images, self._origin, role, about),
            declared=len(self._attributes.declarations) - 1,
        )
        trial = create_trial(
            state=TrialState.RUNNING,
            params={p: compatibility.as_stored(v, self._stored[p]) for p, v in values.items()},
            distributions={path: self._stored[path] for path in values},
            user_attrs=digests.begun(entry.attributes),
        )
        trial_id = self._write(
            lambda: self._storage.create_new_trial(self._study_id, template_trial=trial),
            lambda: rows.id_of(self._storage.engine, self._study_id, entry.number),
        )
        number = self._write(lambda: self._storage.get_trial_number_from_id(trial_id))
        assert number == entry.number, "two drivers write to this study"
        self._ids.append(trial_id)
        return entry

    def outcome(self, entry: TrialRecord) -> TrialResult | None:
        """The outcome of a trial, if a folder of its attempts has it (`worker_files.outcome`)."""
        return worker_files.outcome(self.folders, entry)

    def reach(self, entry: TrialRecord, epoch: int, reached: RungResult) -> TrialRecord:
        """Record the result of a trial at a rung."""
        entry = entry.at_rung(epoch, reached)
        self._attribute(entry, "rungs", entry.plain_rungs)
        return entry

    def promote(self, entry: TrialRecord, until: int) -> TrialRecord:
        """Record the epoch until which a trial is trained, before it continues."""
        self._attribute(entry, "until", until)
        return replace(entry, until=until)

    def tell(self, entry: TrialRecord, result: TrialResult) -> TrialRecord:
        """Record how a trial ended: complete, stopped, diverged or failed. The last commit ends it.

        Returns:
            The trial without history and environment, which only reports read.
        """
        trial_id = self._ids[entry.number]
        begun = [a for a in self.folders.attempts(entry.number) if self.folders.has_begun(a)]
        now = datetime.now()
        ended = replace(entry, result=replace(result, attempts=len(begun)), ended=now)
        beside = self._write(lambda: rows.texts(self._storage.engine, trial_id))
        outcome = {"state": ended.state, "ended": now.isoformat(), **ended.outcome}
        self._attribute(entry, "outcome", digests.with_digest(outcome, beside))
        state, values = TrialState[OPTUNA_STATES[ended.state]], None
        if state == TrialState.COMPLETE:
            values = objective_values(self.description.objectives, entry.cost, result.measured)
        self._write(
            lambda: self._storage.set_trial_state_values(trial_id, state, values),
            lambda: rows.has_ended(self._storage.engine, trial_id) or None,
        )
        return replace(ended, result=ended.result.brief)

    def fail(self, entry: TrialRecord, cause: str) -> TrialRecord:
        """Count an attempt that ended without an outcome."""
        counted = entry.failures | {cause: entry.failures.get(cause, 0) + 1}
        self._attribute(entry, "failures", counted)
        return replace(entry, failures=counted)

    def retry(self, entry: TrialRecord) -> None:
        """Open a failed trial again.

        Its failure stays stored. Attempts so far no longer decide how it ended.
        """
        self._write(lambda: rows.reopen(self._storage.engine, self._ids[entry.number]))
        retried = entry.retried_after(len(self.folders.attempts(entry.number)))
        self._attribute(entry, "retried", retried.to_json())

    def close(self) -> None:
        """Close the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    @property
    def _ids(self) -> list[int]:
        """Ids of the trials in the database, by number."""
        if self._known is None:
            self.entries()
        assert self._known is not None
        return self._known

    def _attribute(self, entry: TrialRecord, name: str, value: Any) -> None:
        trial_id = self._ids[entry.number]
        self._write(lambda: self._storage.set_trial_user_attr(trial_id, name, value))

    def _remember(self, name: study_attributes.Name, attributes: StudyAttributes) -> None:
        """Store the attribute `name` of the new attributes of the study."""
        kept = attributes.stored(name)
        self._write(lambda: self._storage.set_study_user_attr(self._study_id, name, kept))
        self._attributes = attributes

    def _declare(self, description: StudyDescription) -> None:
        """Record the declaration of the study, if it differs from the last."""
        known = self.declarations
        if known and known[-1].declares(description):
            return
        entries = self.entries()
        ended = sum(not e.open or self.outcome(e) is not None for e in entries)
        before = self._attributes.description
        declarations = next_declarations(known, before, description, len(entries), ended)
        self._remember("declarations", replace(self._attributes, declarations=tuple(declarations)))

    def _erase_secrets(self) -> None:
        """Remove from the database all secrets that an earlier program stored."""
        self._remember("declarations", self._attributes)
        self._write(lambda: erase(self._storage))

    def _write(self, write: Callable[[], _T], made: Callable[[], _T | None] | None = None) -> _T:
        """Write while the study is held. Repeat it while the disk is full or the server is away.

        Args:
            made: the result of the same write, if it was made and only its answer was lost, else
                None. Without it, the write may be made twice.

        Raises:
            StudyHeldError: another process holds the study.
            LedgerLostError: the database is gone.
        """
        unsure = False
        while True:
            try:
                if self._lease is not None:
                    self._lease.check()
                with writing(self._disk):
                    before = made() if unsure and made is not None else None
                    return write() if before is None else before
            except DiskFullError as full:
                self.wait_for_space(str(full))
            except LedgerAwayError as away:
                unsure = True
                self.wait_for_server(away)

    def _grow(self, before: dict[str, str], now: dict[str, str]) -> None:
        with writing(self._disk):
            for path in before:
                if before[path] != now[path]:
                    rows.grow(self._storage.engine, self._study_id, path, now[path])
        self._stored = _distributions(now)


def _distributions(stored: Mapping[str, str]) -> dict[str, BaseDistribution]:
    return {path: json_to_distribution(kind) for path, kind in stored.items()}
