"""Messages between the driver and its workers, which Ray carries as plain data.

The driver gives an order (`AttemptOrder`) for each attempt. Its worker answers with reports: the
metrics of each epoch, perhaps a failure, and the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sret_search.job import Contents
from sret_search.training.results import EpochMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOrder:
    """The order to train the job of a trial in the folder of an attempt.

    Attributes:
        job: as JSON text, which the ledger has.
        root: the folder of all trials, or its URL.
        attempt: the folder of this attempt, or its URL.
        earlier: the folders of attempts from whose checkpoints it may go on.
        checkpoint_every: seconds between two checkpoints.
        step_timeout: seconds without a step after which a worker hangs.
        gpus: perhaps a share of a GPU.
        tensorboard: whether to write event files.
        until: the epoch of the rung to train to; None for the end.
        contents: what the data held when the run began; None where that is not known.
        avoided: nodes on which Ray must not run it, by id.
    """

    job: str
    root: str
    attempt: str
    earlier: list[str]
    checkpoint_every: float
    step_timeout: float
    gpus: float
    tensorboard: bool
    until: int | None
    contents: Contents | None
    avoided: list[str]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> AttemptOrder:
        """Read an order from the configuration of Ray's trial.

        Raises:
            KeyError: a part is missing.
        """
        parts = {each.name: plain[each.name] for each in fields(cls)}
        contents = parts["contents"]
        return cls(**parts | {"contents": contents and Contents.from_dict(contents)})

    def to_dict(self) -> dict[str, Any]:
        """The order as Ray's configuration of a trial, by the names of the attributes."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        return parts | {"contents": self.contents and self.contents.to_dict()}


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The report of a failure that the worker itself could name.

    Attributes:
        cause: as `failures` names it.
        reason: for the reader.
    """

    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderUnseen:
    """The report that the worker's machine has no such folder as the driver has.

    Attributes:
        reason: which machine lacks which folder, for the reader.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The last report of an attempt, after a failure too."""


Report = EpochMetrics | AttemptFailed | FolderUnseen | AttemptEnded


def to_dict(report: Report) -> dict[str, Any]:
    """The report as Tune takes it. A user's callback sees that of an epoch."""
    match report:
        case EpochMetrics():
            return report.to_dict()
        case AttemptFailed():
            return {"failed": report.cause, "reason": report.reason}
        case FolderUnseen():
            return {"unseen": report.reason}
        case AttemptEnded():
            return {"ended": True}


def from_dict(plain: Mapping[str, Any]) -> Report | None:
    """Read a report from a result of Tune, which adds keys of its own; None for another result.

    Raises:
        KeyError: a part is missing.
    """
    if "epoch" in plain:
        return EpochMetrics.from_dict(plain)
    if "failed" in plain:
        return AttemptFailed(plain["failed"], plain["reason"])
    if "unseen" in plain:
        return FolderUnseen(plain["unseen"])
    return AttemptEnded() if "ended" in plain else None
