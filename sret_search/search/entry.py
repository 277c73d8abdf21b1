"""One trial, as the ledger has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sret_search.cost import cost
from sret_search.job import Job, train_macs
from sret_search.study.space import Values


@dataclass(frozen=True)
class Entry:
    """One trial of the ledger.

    Attributes:
        state: running, complete, diverged or failed.
        candidate: the name of what is trained, whatever the seed.
        plain: the job as plain data; of many thousand trials few are ever looked at.
        images: that it trains on.
        notes: what the sampler must find again with this trial.
        failures: attempts that ended without an outcome, by cause.
    """

    number: int
    state: str
    values: Values
    candidate: str
    seed: int
    plain: Mapping[str, Any]
    images: int
    result: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    ended: datetime | None = None

    @classmethod
    def begun(
        cls, number: int, job: Job, values: Values, images: int, notes: dict[str, Any] | None = None
    ) -> Entry:
        """A trial that has just got its number."""
        plain = job.to_dict()
        return cls(
            number, "running", values, job.candidate, job.seed, plain, images, {}, notes or {}
        )

    @classmethod
    def stored(cls, trial: FrozenTrial) -> Entry:
        """A trial as it lies in the database."""
        attributes = trial.user_attrs
        # The outcome is written before the state: a trial counts as ended only once it is told.
        outcome = {} if trial.state == TrialState.RUNNING else dict(attributes["outcome"])
        return cls(
            number=trial.number,
            state=outcome.pop("state", "running"),
            values=attributes["values"],
            candidate=attributes["candidate"],
            seed=attributes["job"]["seed"],
            plain=attributes["job"],
            images=attributes["images"],
            result=outcome,
            notes=attributes["notes"],
            failures=attributes.get("failures", {}),
            ended=trial.datetime_complete,
        )

    @cached_property
    def job(self) -> Job:
        return Job.from_dict(self.plain)

    @property
    def key(self) -> tuple[str, int]:
        """What makes a training the same training: candidate and seed."""
        return self.candidate, self.seed

    @property
    def open(self) -> bool:
        return self.state == "running"

    @property
    def train_macs(self) -> int:
        """Multiply-adds of the whole training."""
        return train_macs(self.job.architecture, self.job.recipe, self.images)


def objective_values(names: Iterable[str], job: Job, result: Mapping[str, Any]) -> list[float]:
    """The objectives of a trial, in the order of the study: two are measured, two are known."""
    known = cost(job.architecture)
    found: dict[str, float] = {
        "accuracy": result["val_accuracy"],
        "loss": result["val_loss"],
        "params": known.params,
        "macs": known.macs,
    }
    return [found[name] for name in names]
