"""What an attempt may write about its trial; anything else in its files is damage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sret_search.artifacts.names import ERROR, RESULT
from sret_search.job import Job

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Amount = Annotated[float, Field(ge=0)]
_Any = Annotated[float, Field(allow_inf_nan=True)]
"""Of weights that are run as they were not trained: they may end in no number."""

KEPT = (
    "val_accuracy", "val_loss", "test_accuracy", "test_loss", "epochs", "steps", "seconds",
    "latency_ms", "latency_spread", "reruns", "cause", "reason", "history", "environment",
)  # fmt: skip
"""Names in a result that a ledger keeps."""
LONG = ("history", "environment")
"""Those of them that only reports read."""


class _Content(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Epoch(_Content):
    epoch: Annotated[int, Field(ge=1)]
    val_accuracy: _Fraction
    val_loss: float


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


def is_sound(name: str, content: Mapping[str, Any], job: Job) -> bool:
    """Whether the content of an attempt's file can be a job's: of the types, within the bounds and
    with the parts that training writes."""
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
