"""Messages between the driver and its workers, which Ray transfers as plain data.

The driver sends an order (`AttemptOrder`) for each attempt. Its worker sends reports: the metrics
of each epoch, notices, a failure if there is one, and the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sret_search.job import Contents
from sret_search.training.results import EpochMetrics, Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOrder:
    """The order to train the job of a trial in the folder of an attempt.

    Attributes:
        job: as JSON text, from the ledger.
        root: the folder of all trials, or its URL.
        attempt: the folder of this attempt, or its URL.
        earlier: folders of attempts whose checkpoints it may continue.
        checkpoint_every: seconds between two checkpoints.
        step_timeout: seconds without a step after which a worker counts as hung.
        gpus: number of GPUs, which may be a fraction.
        tensorboard: whether to write event files.
        until: the epoch of the rung at which it ends; None for the end of the training.
        contents: content of the data when the run began; None if unknown.
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
            KeyError: a value is missing.
        """
        parts = {each.name: plain[each.name] for each in fields(cls)}
        contents = parts["contents"]
        return cls(**parts | {"contents": contents and Contents.from_dict(contents)})

    def to_dict(self) -> dict[str, Any]:
        """The order as the configuration of Ray's trial, by the names of the attributes."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        return parts | {"contents": self.contents and self.contents.to_dict()}


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """The process of a worker: the content of `worker.json`.

    Attributes:
        pid: id of the process.
        host: name of the machine.
        node: id of Ray's node; empty if unknown.
    """

    pid: int
    host: str
    node: str

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> WorkerProcess:
        """Read a process from JSON. Earlier versions stored no node."""
        return cls(plain.get("pid", 0), plain.get("host", ""), str(plain.get("node", "")))

    def to_dict(self) -> dict[str, Any]:
        """The content of the file."""
        return {"pid": self.pid, "host": self.host, "node": self.node}


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The report of a failure whose cause the worker knows.

    Attributes:
        cause: as `failures` names it.
        reason: for the reader.
    """

    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderUnseen:
    """The report that the worker's machine lacks the driver's folder of trials.

    Attributes:
        reason: the machine and the folder, for the reader.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The last report of an attempt, also after a failure."""


Report = EpochMetrics | Notice | AttemptFailed | FolderUnseen | AttemptEnded


def to_dict(report: Report) -> dict[str, Any]:
    """The report as Tune's result. A callback of the user sees that of an epoch."""
    match report:
        case EpochMetrics():
            return report.to_dict()
        case Notice():
            return {"notice": report.text}
        case AttemptFailed():
            return {"failed": report.cause, "reason": report.reason}
        case FolderUnseen():
            return {"unseen": report.reason}
        case AttemptEnded():
            return {"ended": True}


def from_dict(plain: Mapping[str, Any]) -> Report | None:
    """Read a report from a result of Tune, which adds keys; None for another result.

    Raises:
        KeyError: a value is missing.
    """
    if "epoch" in plain:
        return EpochMetrics.from_dict(plain)
    if "notice" in plain:
        return Notice(plain["notice"])
    if "failed" in plain:
        return AttemptFailed(plain["failed"], plain["reason"])
    if "unseen" in plain:
        return FolderUnseen(plain["unseen"])
    return AttemptEnded() if "ended" in plain else None
