"""The ledger: an Optuna study in SQLite that says which trials there are and how they ended.

A trial is created RUNNING with everything that its training is a function of, in one commit,
before any work starts. Its result is in the trial's own folder before it is told here. What
is missing here after a crash is found there (`adopt`), so nothing finished is done twice.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sret_search.cost import cost
from sret_search.job import Job, train_macs, trial_folder
from sret_search.study import Study, StudyError
from sret_search.study.schema import Axis
from sret_search.study.space import Values
from sret_search.study.study import trials_folder
from sret_search.training.names import ERROR, RESULT

# Metric names and the grouped TPE are "experimental" in Optuna 5; its version is pinned.
warnings.filterwarnings("ignore", category=ExperimentalWarning)
optuna.logging.set_verbosity(optuna.logging.ERROR)

_DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {"max": "maximize", "min": "minimize"}
_PATIENCE = 60.0
"""Seconds to wait while another process writes."""

_KEPT_RESULTS = (
    "val_accuracy", "val_loss", "test_accuracy", "epochs", "steps", "seconds", "reruns", "cause",
    "reason", "history", "environment",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One trial of the ledger. `state` is running, complete, diverged or failed; `images` are
    those that it trains on."""

    number: int
    state: str
    values: Values
    job: Job
    images: int
    result: dict[str, Any]
    ended: datetime | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What makes a training the same training: candidate and seed."""
        return self.job.candidate, self.job.seed

    @property
    def open(self) -> bool:
        return self.state == "running"

    @property
    def train_macs(self) -> int:
        """Multiply-adds of the whole training."""
        return train_macs(self.job.architecture, self.job.recipe, self.images)


class Ledger:
    """The trials of one study, kept in `runs/<study>/study.db` and one folder a trial."""

    def __init__(self, storage: RDBStorage, study: optuna.Study, trials_folder: Path) -> None:
        self._storage, self._study, self.trials_folder = storage, study, trials_folder
        self.last_path: str | None = None
        """The other file that the study was last run from, if it was."""

    @classmethod
    def create(cls, study: Study) -> Ledger:
        """Open the ledger of a study, making it where there is none.

        Raises:
            StudyError: the ledger holds trials that the study as it is now cannot be compared
                with; the message has the difference.
        """
        study.folder.mkdir(parents=True, exist_ok=True)
        storage = _open(study.folder / "study.db")
        _refuse_incomparable(storage, study)
        stored = optuna.create_study(
            storage=storage,
            study_name=study.name,
            directions=[_DIRECTIONS[d] for d in study.file.objectives.values()],
            load_if_exists=True,
        )
        stored.set_metric_names(list(study.file.objectives))
        before = stored.user_attrs.get("study", {}).get("path")
        stored.set_user_attr("study", describe(study))
        ledger = cls(storage, stored, study.trials_folder)
        ledger.last_path = before if before != str(study.path.resolve()) else None
        return ledger

    @classmethod
    def read(cls, folder: Path) -> Ledger:
        """Open the ledger that lies in a study's folder, to read it.

        Raises:
            StudyError: there is none.
        """
        nothing = StudyError(f"{folder} has no study yet; run it first")
        if not (folder / "study.db").is_file():
            raise nothing
        storage = _open(folder / "study.db")
        names = [summary.study_name for summary in storage.get_all_studies()]
        if not names:
            raise nothing
        stored = optuna.load_study(storage=storage, study_name=names[0])
        if "study" not in stored.user_attrs:
            raise nothing
        given = stored.user_attrs["study"]["storage"]["trials"]
        return cls(storage, stored, trials_folder(folder, given, stored.study_name))

    @property
    def description(self) -> dict[str, Any]:
        """The study as it was when it last ran."""
        description: dict[str, Any] = self._study.user_attrs["study"]
        return description

    def entries(self) -> list[Entry]:
        """Every trial, by number."""
        return [_entry(trial) for trial in self._study.get_trials(deepcopy=False)]

    def entry(self, number: int) -> Entry:
        """One trial, as it is now."""
        return _entry(self._study.get_trials(deepcopy=False)[number])

    def begin(self, job: Job, values: Values, axes: dict[str, Axis], images: int) -> int:
        """Record a trial that is about to start; its number."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params={path: _stored(value, axes[path]) for path, value in values.items()},
            distributions={path: distribution(axes[path]) for path in values},
            user_attrs={
                "state": "running",
                "values": values,
                "job": job.to_dict(),
                "images": images,
            },
        )
        trial_id = self._storage.create_new_trial(self._study._study_id, template_trial=trial)
        return self._storage.get_trial_number_from_id(trial_id)

    def attempts(self, number: int) -> list[Path]:
        """The folders of a trial's attempts, oldest first."""
        folder = trial_folder(self.trials_folder, number)
        return sorted(folder.glob("attempt-*"), key=lambda path: int(path.name.split("-")[1]))

    def next_attempt(self, number: int) -> Path:
        """The folder for another attempt, made now, so that no two attempts share one."""
        earlier = [int(path.name.split("-")[1]) for path in self.attempts(number)]
        name = f"attempt-{max(earlier, default=0) + 1}"
        folder = trial_folder(self.trials_folder, number) / name
        folder.mkdir(parents=True)
        return folder

    def adopt(self, number: int) -> bool:
        """Record the outcome that a trial's folder holds, if it holds one of this very job.

        Data that could not be read is no outcome: once it is mended, the trial goes on.
        """
        identity = self.entry(number).job.identity
        for attempt in self.attempts(number):
            for name in (RESULT, ERROR):
                outcome = _read_json(attempt / name)
                if outcome is None or outcome.get("cause") == "data":
                    continue
                if outcome.get("job") == identity:
                    self.tell(number, outcome)
                    return True
        return False

    def unreadable(self, number: int) -> str | None:
        """Why the last attempt at a trial could not read its data, if that is what ended it."""
        attempts = self.attempts(number)
        outcome = _read_json(attempts[-1] / ERROR) if attempts else None
        return str(outcome["reason"]) if outcome and outcome.get("cause") == "data" else None

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """Record how a trial ended: complete, diverged or failed. The last commit ends it."""
        trial = self._study.get_trials(deepcopy=False)[number]
        kept = {name: outcome[name] for name in _KEPT_RESULTS if name in outcome}
        kept["attempts"] = len(self.attempts(number))
        self._storage.set_trial_user_attr(trial._trial_id, "result", kept)
        self._storage.set_trial_user_attr(trial._trial_id, "state", outcome["state"])
        if outcome["state"] == "complete":
            job = _entry(trial).job
            self._study.tell(number, objective_values(self.description["objectives"], job, outcome))
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def close(self) -> None:
        """Give the database back."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def objective_values(names: Iterable[str], job: Job, result: dict[str, Any]) -> list[float]:
    """The objectives of a trial, in the order of the study: two are measured, two are known."""
    known = cost(job.architecture)
    found: dict[str, float] = {
        "accuracy": result["val_accuracy"],
        "loss": result["val_loss"],
        "params": known.params,
        "macs": known.macs,
    }
    return [found[name] for name in names]


def describe(study: Study) -> dict[str, Any]:
    """What a report needs to know of a study, and what a later edit is held against."""
    plain = study.file.model_dump(mode="json")
    return {
        **plain,
        "data": dataclasses.asdict(study.file.data) | {"sizes": list(study.sizes)},
        "path": str(study.path.resolve()),
        "text": study.path.read_text(encoding="utf-8"),
        "space_text": (study.path.parent / study.file.space).read_text(encoding="utf-8"),
        "axes": {path: axis.model_dump(mode="json") for path, axis in study.space.axes.items()},
        "budget": study.space.budget.model_dump(mode="json"),
        "trials": study.trials,
        "classes": study.space.architecture.classes,
    }


def distribution(axis: Axis) -> BaseDistribution:
    """Numbers are stored as ranges, which may grow; anything else by its JSON text."""
    values = axis.choices if axis.choices is not None else [axis.low, axis.high]
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return IntDistribution(min(values), max(values))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution([json.dumps(value) for value in values])


def _stored(value: Any, axis: Axis) -> Any:
    return json.dumps(value) if isinstance(distribution(axis), CategoricalDistribution) else value


def _entry(trial: FrozenTrial) -> Entry:
    attributes = trial.user_attrs
    # Attributes are written before the state: a trial counts as ended only once it is told.
    state = "running" if trial.state == TrialState.RUNNING else attributes["state"]
    return Entry(
        number=trial.number,
        state=state,
        values=attributes["values"],
        job=Job.from_dict(attributes["job"]),
        images=attributes["images"],
        result=attributes.get("result", {}) if state != "running" else {},
        ended=trial.datetime_complete,
    )


def _refuse_incomparable(storage: RDBStorage, study: Study) -> None:
    if study.name not in [summary.study_name for summary in storage.get_all_studies()]:
        return
    stored = optuna.load_study(storage=storage, study_name=study.name)
    before, now = stored.user_attrs.get("study"), describe(study)
    if before is None or not stored.get_trials(deepcopy=False):
        # Nothing was begun, so nothing is lost; the objectives may have changed.
        optuna.delete_study(study_name=study.name, storage=storage)
        return
    differences = [
        f"{name} was {json.dumps(before[name])} and is now {json.dumps(now[name])}"
        for name in ("data", "objectives")
        if before[name] != now[name]
    ]
    for path, axis in study.space.axes.items():
        old = before["axes"].get(path)
        if old is None:
            continue
        was, becomes = distribution(Axis.model_validate(old)), distribution(axis)
        same = type(was) is type(becomes)
        if not same or (isinstance(was, CategoricalDistribution) and was != becomes):
            differences.append(
                f"the axis {path} was {_brief(old)} and is now {_brief(now['axes'][path])}"
            )
    if differences:
        raise StudyError(
            f"{study.path}: its trials in {study.folder} cannot be compared with new ones: "
            + "; ".join(differences)
            + "; undo the edit, or start anew with --fresh, which keeps the old study aside"
        )


def _brief(axis: dict[str, Any]) -> str:
    return json.dumps(
        {name: value for name, value in axis.items() if value not in (None, False, {})}
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def _open(database: Path) -> RDBStorage:
    """Open a SQLite file in write-ahead mode: readers, such as a dashboard, then never lock the
    writer out. The file remembers the mode."""
    connection = sqlite3.connect(database, timeout=_PATIENCE)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        raise StudyError(f"{database}: not a study's database ({error})") from None
    finally:
        connection.close()
    return RDBStorage(
        f"sqlite:///{database.resolve()}", engine_kwargs={"connect_args": {"timeout": _PATIENCE}}
    )
