"""Files that the attempts at a trial have written, as records.

A file that a training cannot have written is damaged and counts as absent. The trial then continues
from its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sret_search.artifacts.names import ERROR, RESULT, RUNG
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.job import Job
from sret_search.trials import failures
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult, TrialResult

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Amount = Annotated[float, Field(ge=0)]
_Any = Annotated[float, Field(allow_inf_nan=True)]
"""A value of a rerun, which may be NaN or infinite: its weights were trained for another depth."""


class _Content(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Epoch(_Content):
    epoch: Annotated[int, Field(ge=1)]
    step: Annotated[int, Field(ge=0)]
    train_loss: float
    val_accuracy: _Fraction
    val_loss: float
    seconds: _Amount


class _Rerun(_Content):
    executions: Annotated[int, Field(ge=1)]
    val_accuracy: _Fraction
    val_loss: _Any
    test_accuracy: _Fraction


class _Reached(_Content):
    val_accuracy: _Fraction
    val_loss: float
    seconds: _Amount


class _Complete(_Content):
    state: Literal["complete"]
    val_accuracy: _Fraction
    val_loss: float
    test_accuracy: _Fraction
    test_loss: _Any = 0.0
    epochs: _Amount
    steps: Annotated[int, Field(ge=0)] = 0
    seconds: _Amount
    latency_ms: _Amount | None = None
    latency_spread: _Amount | None = None
    reruns: list[_Rerun] = []
    history: list[_Epoch] = []
    environment: dict[str, Any] = {}


class _Diverged(_Content):
    state: Literal["diverged"]
    reason: str
    epochs: _Amount = 0
    steps: Annotated[int, Field(ge=0)] = 0
    seconds: _Amount = 0
    history: list[_Epoch] = []
    environment: dict[str, Any] = {}


class _Failed(_Content):
    state: Literal["failed"]
    cause: str
    reason: str


_RESULT = TypeAdapter[_Complete | _Diverged](
    Annotated[_Complete | _Diverged, Field(discriminator="state")]
)


def outcome(folders: TrialFolders, entry: TrialRecord) -> TrialResult | None:
    """The outcome of a trial, if a folder of its attempts has it for exactly this job.

    It is a result, or an error in code, which another attempt would only repeat.
    """
    for i, attempt in enumerate(folders.attempts(entry.number)):
        content = _content(folders, entry, attempt, RESULT)
        if content is not None:
            return TrialResult.from_dict(content)
        failed = error(folders, entry, attempt) if i >= entry.forgiven else None
        if failed is not None and failed.cause == failures.ERROR:
            return failed
    return None


def error(folders: TrialFolders, entry: TrialRecord, attempt: str) -> TrialResult | None:
    """The failure of an attempt at a trial, if its worker could still write it; else None."""
    content = _content(folders, entry, attempt, ERROR)
    return None if content is None else TrialResult.from_dict(content)


def reached(folders: TrialFolders, entry: TrialRecord, epoch: int) -> RungResult | None:
    """The result of a trial at a rung, if an attempt reached that epoch; else None."""
    for attempt in folders.attempts(entry.number):
        content = _content(folders, entry, attempt, f"{RUNG}{epoch}.json")
        if content is not None:
            return RungResult.from_dict(content)
    return None


def _content(
    folders: TrialFolders, entry: TrialRecord, attempt: str, name: str
) -> Mapping[str, Any] | None:
    """The content of a file of an attempt; None if it is damaged, absent or of another job."""
    content = folders.read_json(attempt, name)
    if not content or content.get("job") != entry.job.identity:
        return None
    return content if _is_sound(name, content, entry.job) else None


def _is_sound(name: str, content: Mapping[str, Any], job: Job) -> bool:
    """Whether a training of this job can have written the content: its types, bounds and parts."""
    try:
        if name != RESULT:
            (_Failed if name == ERROR else _Reached).model_validate(content)
            return True
        result = _RESULT.validate_python(content)
    except ValidationError:
        return False
    if isinstance(result, _Diverged):
        return True
    is_timed = job.latency is None or result.latency_ms is not None
    return is_timed and len(result.reruns) == len(job.reruns)
