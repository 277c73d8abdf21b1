"""One trial, as the ledger has it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sret_search.cost import cost
from sret_search.job import Job, step_memory, train_macs
from sret_search.planning.plan import Role
from sret_search.space.candidate import Values
from sret_search.trials import digests
from sret_search.trials.digests import DamagedError

_COUNTED = (
    "params", "params_once", "params_shared", "macs", "executions", "unique_blocks", "sub_layers",
    "nlls",
)  # fmt: skip
_FACTS = (
    "candidate", "seed", "images", "cost", "origin", "parent", "schedule", "role", "about",
)  # fmt: skip

STATES = {"complete": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "failed": "FAIL"}
"""How a trial ended, and what Optuna calls that."""
_AT_RUNG = ("val_accuracy", "val_loss", "seconds")


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the ledger.

    Attributes:
        state: running, complete, stopped (at a rung, for good), diverged or failed.
        values: of the axes, by path.
        text: the job as JSON; of many thousand trials few are ever looked at.
        candidate: the name of what is trained, whatever the seed.
        images: that it trains on.
        cost: what is known without training: parameters, multiply-adds (`train_macs` those of
            the whole training), bytes of memory of a training step, and every way to count depth.
        origin: the name of what the study searched when it asked for this trial.
        parent: the trial that it goes on from.
        schedule: of the learning rate.
        role: why it was asked for; what `search` has asked for alone guides a sampler.
        about: what a report must know of that.
        failures: attempts that ended without an outcome, by cause.
        rungs: what it reached at each rung, by the epoch's number as text: `val_accuracy`,
            `val_loss`, and the `seconds` until then.
        until: the epoch that it was promoted to train until; None before its first rung.
        retried: the outcomes (`ended`) that it was opened again after, and how many `attempts` it
            had then; empty where it never was.
        declared: the place, among the declarations of its ledger, of the one in force when it
            began; None in ledgers of programs that stored none.
    """

    number: int
    state: str
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
    about: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    rungs: dict[str, dict[str, float]] = field(default_factory=dict)
    until: int | None = None
    ended: datetime | None = None
    declared: int | None = None
    retried: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begun(
        cls,
        number: int,
        job: Job,
        values: Values,
        images: int,
        origin: str,
        role: Role = "search",
        about: dict[str, Any] | None = None,
        declared: int | None = None,
    ) -> TrialRecord:
        """A trial that has just got its number."""
        a, recipe = job.architecture, job.recipe
        known = cost(a)
        counted = {name: getattr(known, name) for name in _COUNTED}
        counted["train_macs"] = train_macs(a, recipe, images)
        counted["memory"] = step_memory(a, recipe, job.processes)
        return cls(
            number=number,
            state="running",
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
            about=about or {},
            declared=declared,
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored when it begins. Samplers of earlier programs kept notes in it."""
        facts = {name: getattr(self, name) for name in _FACTS}
        return {
            "values": self.values, "facts": facts, "job": self.plain, "notes": {},
            "declared": self.declared,
        }  # fmt: skip

    @classmethod
    def stored(
        cls, number: int, state: str, ended: datetime | None, attributes: Mapping[str, str]
    ) -> TrialRecord:
        """A trial as it lies in the database.

        Args:
            state: as Optuna names it.
            attributes: the JSON text of each.

        Raises:
            ValueError, LookupError, TypeError: it is damaged.
        """
        digests.check_begun(attributes)
        # The outcome is written before the state: a trial counts as ended only once it is told.
        outcome = {}
        if state != "RUNNING":
            outcome = digests.without_digest(attributes["outcome"], attributes)
            if STATES[outcome["state"]] != state:
                raise DamagedError(f"it ended {outcome['state']}, but has the state {state}")
            if "ended" in outcome:  # earlier programs left that to Optuna
                ended = datetime.fromisoformat(outcome.pop("ended"))
        return cls(
            number=number,
            state=outcome.pop("state", "running"),
            values=json.loads(attributes["values"]),
            text=attributes["job"],
            result=outcome,
            failures=json.loads(attributes.get("failures", "{}")),
            rungs=json.loads(attributes.get("rungs", "{}")),
            until=json.loads(attributes.get("until", "null")),
            retried=json.loads(attributes.get("retried", "{}")),
            declared=json.loads(attributes.get("declared", "null")),
            ended=ended,
            **json.loads(attributes["facts"]),
        )

    @property
    def plain(self) -> dict[str, Any]:
        """The job as plain data."""
        plain: dict[str, Any] = json.loads(self.text)
        return plain

    @cached_property
    def job(self) -> Job:
        return Job.from_dict(self.plain)

    @property
    def train_macs(self) -> int:
        """Multiply-adds of the whole training."""
        return self.cost["train_macs"]

    @property
    def sees_validation(self) -> bool:
        """Whether it trains on the images of validation too."""
        return bool(self.about.get("on") == "train+val")

    @property
    def open(self) -> bool:
        return self.state == "running"

    @property
    def forgiven(self) -> int:
        """The first attempts, which failed in a way that it is tried again after."""
        return int(self.retried.get("attempts", 0))

    def at_rung(self, epoch: int, measured: Mapping[str, float]) -> TrialRecord:
        """The same trial after an epoch that is a rung, with what a training's metrics say."""
        value = {name: measured[name] for name in _AT_RUNG}
        return replace(self, rungs=self.rungs | {str(epoch): value})

    @property
    def stopped(self) -> dict[str, Any]:
        """How it ends where it is trained no further than to its last rung."""
        epoch = max(map(int, self.rungs))
        return {"state": "stopped", "epochs": epoch, **self.rungs[str(epoch)]}


_MEASURED = {"accuracy": "val_accuracy", "loss": "val_loss", "latency_ms": "latency_ms"}
"""Objectives that take a training, and their names in its result; the others are costs."""


def mean_result(results: Sequence[Mapping[str, float]], slowest: float = 0.0) -> dict[str, float]:
    """What was measured, as means over seeds, which do not depend on their order; `slowest`
    stands for the latency of a result that has none."""
    return {
        name: math.fsum(result.get(name, slowest) for result in results) / len(results)
        for name in _MEASURED.values()
    }


def mean_objectives(
    names: Iterable[str],
    known: Mapping[str, int],
    results: Sequence[Mapping[str, float]],
    slowest: float = 0.0,
) -> list[float]:
    """The objectives of a candidate, of its costs and the means over its seeds."""
    return objective_values(names, known, mean_result(results, slowest))


def objective_values(
    names: Iterable[str], known: Mapping[str, int], result: Mapping[str, Any]
) -> list[float]:
    """The objectives of a trial, in the order of the study."""
    return [float(result[_MEASURED[n]] if n in _MEASURED else known[n]) for n in names]
