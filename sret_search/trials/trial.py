"""The record of a trial in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sret_search.architecture import Architecture
from sret_search.cost import cost, stored_bytes
from sret_search.job import Job, step_memory, train_macs
from sret_search.planning.plan import Role
from sret_search.space.candidate import Values
from sret_search.trials import about as about_records
from sret_search.trials import digests
from sret_search.trials.about import About, ConfirmationTrial, TwinTrial
from sret_search.trials.digests import DamagedError
from sret_search.trials.trial_result import (
    OPTUNA_STATES,
    EarlierEnd,
    Retried,
    RungResult,
    State,
    TrialResult,
    rungs_from_json,
    rungs_to_json,
)

_COUNTED = (
    "params", "params_once", "params_shared", "macs", "executions", "unique_blocks", "sub_layers",
    "nlls",
)  # fmt: skip
_FACTS = "candidate", "seed", "images", "cost", "origin", "parent", "schedule", "role"


@dataclass(frozen=True)
class TrialRecord:
    """A trial of the ledger.

    Attributes:
        values: of the axes, by path.
        text: the job as JSON. It is parsed only when needed, since a ledger may have thousands of
            trials.
        candidate: the name of the candidate, which does not depend on the seed.
        images: number of images on which it trains.
        cost: costs that need no training: parameters, MACs (`train_macs` of the whole training),
            bytes of memory of a training step and of the stored weights, and all counts of depth.
            Earlier programs did not store bytes of weights.
        origin: the name of the space that the study searched when it asked for this trial.
        parent: number of the trial that it continues.
        schedule: of the learning rate.
        role: the reason for the trial. Only trials of the role "search" guide a sampler.
        about: its relation to a candidate; None for a trial of the search.
        failures: number of attempts that ended without an outcome, by cause.
        result: how it ended, with its results.
        rungs: its result at each rung, by epoch.
        until: the epoch until which it was promoted to train; None before its first rung.
        ended: time of its end; None while it is open.
        retried: its ends after which it was opened again; none if it never was.
        declared: index of the declaration in force when it began; None if an earlier program stored
            none.
    """

    number: int
    values: Values
    text: str
    candidate: str
    seed: int
    images: int
    cost: Mapping[str, int]
    origin: str
    parent: int | None
    schedule: str
    role: Role = "search"
    about: About | None = None
    result: TrialResult = field(default_factory=TrialResult)
    failures: dict[str, int] = field(default_factory=dict)
    rungs: dict[int, RungResult] = field(default_factory=dict)
    until: int | None = None
    ended: datetime | None = None
    declared: int | None = None
    retried: Retried = field(default_factory=Retried)

    @classmethod
    def begun(
        cls,
        number: int,
        job: Job,
        values: Values,
        images: int,
        origin: str,
        role: Role = "search",
        about: About | None = None,
        declared: int | None = None,
    ) -> TrialRecord:
        """Make the record of a trial that begins."""
        a, recipe = job.architecture, job.recipe
        known = cost(a)
        counted = {name: getattr(known, name) for name in _COUNTED}
        counted["train_macs"] = train_macs(a, recipe, images)
        counted["memory"] = step_memory(a, recipe, job.processes)
        counted["bytes"] = stored_bytes(a)
        counted["bytes_bf16"] = stored_bytes(a, "bf16")
        counted["bytes_int8"] = stored_bytes(a, "int8")
        return cls(
            number=number,
            values=values,
            text=json.dumps(job.to_dict()),
            candidate=job.candidate,
            seed=job.seed,
            images=images,
            cost=counted,
            origin=origin,
            parent=None if job.parent is None else job.parent.trial,
            schedule=job.recipe.schedule,
            role=role,
            about=about,
            declared=declared,
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """The data that are stored when it begins. Samplers of earlier programs stored notes
        there."""
        facts = {name: getattr(self, name) for name in _FACTS}
        facts["about"] = about_records.to_dict(self.about)
        return {
            "values": self.values, "facts": facts, "job": self.plain, "notes": {},
            "declared": self.declared,
        }  # fmt: skip

    @classmethod
    def stored(
        cls, number: int, state: str, ended: datetime | None, attributes: Mapping[str, str]
    ) -> TrialRecord:
        """Read a trial from the database.

        Args:
            state: as Optuna names it.
            attributes: JSON texts, by name.

        Raises:
            ValueError, LookupError, TypeError: it is damaged.
        """
        digests.check_begun(attributes)
        # The outcome is written before the state, so a trial has ended only when its state says so.
        outcome = {}
        if state != "RUNNING":
            outcome = digests.without_digest(attributes["outcome"], attributes)
            if OPTUNA_STATES[outcome["state"]] != state:
                raise DamagedError(f"it ended {outcome['state']}, but has the state {state}")
            if "ended" in outcome:  # earlier programs stored only Optuna's time
                ended = datetime.fromisoformat(outcome["ended"])
        facts = json.loads(attributes["facts"])
        return cls(
            number=number,
            values=json.loads(attributes["values"]),
            text=attributes["job"],
            about=about_records.from_dict(facts["role"], facts.pop("about")),
            result=TrialResult.from_dict(outcome),
            failures=json.loads(attributes.get("failures", "{}")),
            rungs=rungs_from_json(json.loads(attributes.get("rungs", "{}"))),
            until=json.loads(attributes.get("until", "null")),
            retried=Retried.from_json(json.loads(attributes.get("retried", "{}"))),
            declared=json.loads(attributes.get("declared", "null")),
            ended=ended,
            **facts,
        )

    def to_dict(self) -> dict[str, Any]:
        """The trial as a packed ledger stores it."""
        facts = {name: getattr(self, name) for name in _FACTS}
        return {
            "number": self.number,
            "state": self.state,
            "values": self.values,
            "text": self.plain,
            **facts,
            "about": about_records.to_dict(self.about),
            "notes": {},  # samplers of earlier programs stored some
            "result": self.outcome,
            "failures": self.failures,
            "rungs": self.plain_rungs,
            "until": self.until,
            "ended": None if self.ended is None else self.ended.isoformat(),
            "declared": self.declared,
            "retried": self.retried.to_json(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TrialRecord:
        """Read a trial from a packed ledger.

        Raises:
            ValueError, LookupError, TypeError: it is damaged.
        """
        ended, result = plain["ended"], plain["result"] | {"state": plain["state"]}
        gone = ("state", "notes")
        rest = {name: value for name, value in plain.items() if name not in gone}
        return cls(
            **rest
            | {
                "text": json.dumps(plain["text"]),
                "about": about_records.from_dict(plain["role"], plain["about"]),
                "result": TrialResult.from_dict(result),
                "rungs": rungs_from_json(plain["rungs"]),
                "retried": Retried.from_json(plain.get("retried", {})),
                "ended": None if ended is None else datetime.fromisoformat(ended),
            }
        )

    @property
    def state(self) -> State:
        """Running, complete, stopped (at a rung, for good), diverged or failed."""
        return self.result.state

    @property
    def outcome(self) -> dict[str, Any]:
        """The data that are stored when it ends, beside its state."""
        rungs = {"rungs": self.plain_rungs} if self.rungs and not self.open else {}
        return self.result.to_dict() | rungs

    @property
    def plain_rungs(self) -> dict[str, dict[str, float]]:
        """The results at rungs, as they are stored."""
        return rungs_to_json(self.rungs)

    @property
    def plain(self) -> dict[str, Any]:
        """The job as plain data."""
        plain: dict[str, Any] = json.loads(self.text)
        return plain

    @property
    def architecture(self) -> Architecture:
        """The architecture that it trains, read without the rest of the job."""
        return Architecture.from_dict(self.plain["architecture"])

    @cached_property
    def job(self) -> Job:
        return Job.from_dict(self.plain)

    @property
    def train_macs(self) -> int:
        """Multiply-adds of the whole training."""
        return self.cost["train_macs"]

    @property
    def of(self) -> str | None:
        """The name of the candidate that it is a twin of, tries a rate for, or confirms.

        None for a trial of the search.
        """
        return None if self.about is None else self.about.of

    @property
    def confirmed_on(self) -> str | None:
        """The images on which it confirms a candidate, "train" or "train+val", or None."""
        return self.about.on if isinstance(self.about, ConfirmationTrial) else None

    @property
    def control(self) -> str | None:
        """The kind of twin; None for other roles."""
        return self.about.control if isinstance(self.about, TwinTrial) else None

    @property
    def sees_validation(self) -> bool:
        """Whether it trains on the images of validation too."""
        return self.confirmed_on == "train+val"

    @property
    def open(self) -> bool:
        return self.state == "running"

    @property
    def forgiven(self) -> int:
        """Number of first attempts whose failures no longer count after a retry."""
        return self.retried.attempts

    def at_rung(self, epoch: int, reached: RungResult) -> TrialRecord:
        """The same trial with its result at a rung."""
        return replace(self, rungs=self.rungs | {epoch: reached})

    def retried_after(self, attempts: int) -> Retried:
        """Its ends, with the present one, if it is opened again.

        Args:
            attempts: number of attempts so far.
        """
        rungs = {} if self.open else self.rungs
        return Retried(attempts, (*self.retried.ended, EarlierEnd(self.result, rungs)))

    @property
    def stopped(self) -> TrialResult:
        """The result if the trial is stopped at its last rung."""
        epoch = max(self.rungs)
        reached = self.rungs[epoch]
        return TrialResult(
            "stopped",
            val_accuracy=reached.val_accuracy,
            val_loss=reached.val_loss,
            epochs=epoch,
            seconds=reached.seconds,
        )


def by_candidate(entries: Iterable[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Trials by the name of their candidate."""
    groups: dict[str, list[TrialRecord]] = {}
    for entry in entries:
        groups.setdefault(entry.candidate, []).append(entry)
    return groups
