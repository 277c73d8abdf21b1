"""Rows of a study's trials in the database: reading them as records, and changes that Optuna lacks.

Optuna's reading of trials takes ten times as long, and makes more objects than are needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import Connection, DateTime, Engine, text

from sret_search.trials.digests import DamagedError
from sret_search.trials.trial import TrialRecord

_TRIALS = text(
    "SELECT trial_id, number, state, datetime_complete FROM trials"
    " WHERE study_id = :study ORDER BY number"
).columns(datetime_complete=DateTime)
_ATTRIBUTES = text(
    "SELECT trials.trial_id, key, value_json FROM trial_user_attributes"
    " JOIN trials ON trials.trial_id = trial_user_attributes.trial_id WHERE study_id = :study"
    " AND trial_user_attributes.trial_id BETWEEN :first AND :last"
)
_OF_ONE = text("SELECT key, value_json FROM trial_user_attributes WHERE trial_id = :trial")
_REOPEN = text(
    "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = :trial"
)
_ID = text("SELECT trial_id FROM trials WHERE study_id = :study AND number = :number")
_STATE = text("SELECT state FROM trials WHERE trial_id = :trial")
_GROW = text(
    "UPDATE trial_params SET distribution_json = :now WHERE param_name = :path AND"
    " trial_id IN (SELECT trial_id FROM trials WHERE study_id = :study)"
)
_PAGE = 1000


def entries(connection: Connection, study_id: int) -> Iterator[tuple[int, TrialRecord]]:
    """Read every trial with its id in the database, in order of number.

    Raises:
        DamagedError: a row differs from what was written.
    """
    study = {"study": study_id}
    trials = connection.execute(_TRIALS, study).all()
    # Pages limit the texts in memory, and let a driver write between them.
    for start in range(0, len(trials), _PAGE):
        page = trials[start : start + _PAGE]
        attributes: dict[int, dict[str, str]] = defaultdict(dict)
        ids = [trial.trial_id for trial in page]
        ends = {"first": min(ids), "last": max(ids)}
        for trial_id, name, value in connection.execute(_ATTRIBUTES, study | ends).all():
            attributes[trial_id][name] = value
        for number, trial in enumerate(page, start):
            if trial.number != number:
                raise DamagedError(f"trial {number} is missing")
            try:
                entry = TrialRecord.stored(
                    number, trial.state, trial.datetime_complete, attributes[trial.trial_id]
                )
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise DamagedError(f"trial {number}: {_reason(error)}") from None
            yield trial.trial_id, entry


def texts(engine: Engine, trial_id: int) -> dict[str, str]:
    """The attributes of a trial: JSON texts, by name."""
    with engine.connect() as connection:
        return dict(connection.execute(_OF_ONE, {"trial": trial_id}).tuples().all())


def id_of(engine: Engine, study_id: int, number: int) -> int | None:
    """The id of a trial in the database; None if no trial has that number."""
    with engine.connect() as connection:
        return connection.execute(_ID, {"study": study_id, "number": number}).scalar()


def has_ended(engine: Engine, trial_id: int) -> bool:
    """Whether a trial has a final state."""
    with engine.connect() as connection:
        state = connection.execute(_STATE, {"trial": trial_id}).scalar_one()
    return bool(state != "RUNNING")


def grow(engine: Engine, study_id: int, path: str, kind: str) -> None:
    """Store every value of an axis with another distribution, given as JSON."""
    with engine.begin() as connection:
        connection.execute(_GROW, {"now": kind, "path": path, "study": study_id})


def reopen(engine: Engine, trial_id: int) -> None:
    """Set an ended trial to running again."""
    with engine.begin() as connection:
        connection.execute(_REOPEN, {"trial": trial_id})


def _reason(error: Exception) -> str:
    if isinstance(error, DamagedError):
        return str(error)
    return "it cannot be read" if isinstance(error, ValueError) else "it lacks a part"
