"""Records of a trial's results. Their JSON is written and read only here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

from sret_search.training.results import EpochMetrics, RerunResult

State = Literal["running", "complete", "stopped", "diverged", "failed"]

OPTUNA_STATES: Mapping[str, str] = {
    "complete": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "failed": "FAIL",
}  # fmt: skip
"""Optuna's name for each state of an ended trial."""

_SINGLE_BEFORE = (
    "val_accuracy", "val_loss", "test_accuracy", "test_loss", "epochs", "steps", "seconds",
    "latency_ms", "latency_spread",
)  # fmt: skip
_SINGLE_AFTER = "cause", "reason"
"""Names of single values on disk, before and after the reruns."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured values from which objectives are computed.

    Attributes:
        val_accuracy: a fraction.
        val_loss: mean cross-entropy in nats.
        latency_ms: milliseconds of a forward pass; None if not measured.
    """

    val_accuracy: float
    val_loss: float
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class RungResult:
    """The result of a trial at a rung.

    Attributes:
        val_accuracy: a fraction.
        val_loss: mean cross-entropy in nats.
        seconds: of all attempts at the trial until then.
    """

    val_accuracy: float
    val_loss: float
    seconds: float

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RungResult:
        """Read a result from JSON. Other keys are ignored.

        Raises:
            KeyError: a value is missing.
        """
        return cls(plain["val_accuracy"], plain["val_loss"], plain["seconds"])

    @property
    def measured(self) -> Measured:
        """The values from which objectives are computed."""
        return Measured(self.val_accuracy, self.val_loss)

    def to_dict(self) -> dict[str, float]:
        """The result as JSON stores it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The end of a trial and its results; None for missing values.

    A complete trial has accuracies, losses, epochs, steps, seconds, reruns, history and
    environment, and latencies if its job asks for them. A stopped trial has the result at its last
    rung: validation, epochs and seconds. A diverged trial has its reason, epochs, steps, seconds,
    history and environment. A failed trial has its cause and its reason. A running trial has
    nothing.

    Attributes:
        val_accuracy, test_accuracy: fractions.
        val_loss, test_loss: mean cross-entropies in nats.
        epochs: number of trained epochs, which may be fractional.
        steps: number of optimizer steps.
        seconds: of all attempts.
        latency_ms: median milliseconds of a forward pass.
        latency_spread: interquartile range over the median.
        reruns: in the order of the job's.
        cause: of a failure, as `failures` names it.
        reason: of a failure or divergence, for the reader.
        history: results epoch by epoch. The driver does not keep it after the trial has ended.
        environment: versions and processors, kept like the history.
        attempts: number of attempts that had begun when it ended.
    """

    state: State = "running"
    val_accuracy: float | None = None
    val_loss: float | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    epochs: float | None = None
    steps: int | None = None
    seconds: float | None = None
    latency_ms: float | None = None
    latency_spread: float | None = None
    reruns: tuple[RerunResult, ...] = ()
    cause: str | None = None
    reason: str | None = None
    history: tuple[EpochMetrics, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    attempts: int | None = None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TrialResult:
        """Read a result from the JSON of a ledger or of a worker's file. Other keys are ignored.

        Raises:
            LookupError, TypeError, ValueError: it is damaged.
        """
        single = {name: plain.get(name) for name in (*_SINGLE_BEFORE, *_SINGLE_AFTER, "attempts")}
        state = plain.get("state", "running")
        if state != "running" and state not in OPTUNA_STATES:
            raise ValueError(f"there is no state {state}")
        return cls(
            state=cast(State, state),
            reruns=tuple(map(RerunResult.from_dict, plain.get("reruns", ()))),
            history=tuple(map(EpochMetrics.from_dict, plain.get("history", ()))),
            environment=plain.get("environment", {}),
            **single,
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as the ledger stores it: its values in a fixed order.

        The state is left out, because the ledger stores it separately.
        """
        lists: dict[str, Any] = {}
        if self.state in ("complete", "diverged"):
            lists["history"] = [epoch.to_dict() for epoch in self.history]
            lists["environment"] = dict(self.environment)
        reruns: dict[str, Any] = {}
        if self.state == "complete":
            reruns["reruns"] = [rerun.to_dict() for rerun in self.reruns]
        singles = self._singles(*_SINGLE_BEFORE) | reruns | self._singles(*_SINGLE_AFTER)
        return singles | lists | self._singles("attempts")

    def accuracy(self, part: str) -> float:
        """The accuracy on a part of the data, "val" or "test", as a fraction.

        Raises:
            LookupError: the trial has none.
        """
        return _present(self.val_accuracy if part == "val" else self.test_accuracy, self)

    @property
    def loss(self) -> float:
        """The validation loss in nats.

        Raises:
            LookupError: the trial has none.
        """
        return _present(self.val_loss, self)

    @property
    def measured(self) -> Measured:
        """The values of a complete trial from which objectives are computed.

        Raises:
            LookupError: the trial has no accuracy, or no loss.
        """
        return Measured(self.accuracy("val"), self.loss, self.latency_ms)

    @property
    def brief(self) -> TrialResult:
        """The result without history and environment, which only reports read."""
        return replace(self, history=(), environment={})

    def _singles(self, *names: str) -> dict[str, Any]:
        values = ((name, getattr(self, name)) for name in names)
        return {name: value for name, value in values if value is not None}


@dataclass(frozen=True, slots=True)
class EarlierEnd:
    """An end of a trial that was opened again after it.

    Attributes:
        rungs: its result at each rung by then, by epoch.
    """

    result: TrialResult
    rungs: Mapping[int, RungResult] = field(default_factory=dict)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> EarlierEnd:
        """Read an end from the ledger.

        Raises:
            LookupError, TypeError, ValueError: it is damaged.
        """
        return cls(TrialResult.from_dict(plain), rungs_from_json(plain.get("rungs", {})))

    def to_json(self) -> dict[str, Any]:
        """The end as the ledger stores it."""
        rungs = {"rungs": rungs_to_json(self.rungs)} if self.rungs else {}
        return {"state": self.result.state, **self.result.to_dict(), **rungs}


@dataclass(frozen=True, slots=True)
class Retried:
    """The ends of a trial after which it was opened again.

    Attributes:
        attempts: number of its attempts when it was last opened again.
        ended: its ends, in their order.
    """

    attempts: int = 0
    ended: tuple[EarlierEnd, ...] = ()

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Retried:
        """Read the ends from the ledger; an empty mapping is a trial that was never opened again.

        Raises:
            LookupError, TypeError, ValueError: they are damaged.
        """
        return cls(
            int(plain.get("attempts", 0)), tuple(map(EarlierEnd.from_json, plain.get("ended", ())))
        )

    def to_json(self) -> dict[str, Any]:
        """The ends as the ledger stores them."""
        if not self.ended:
            return {}
        return {"attempts": self.attempts, "ended": [end.to_json() for end in self.ended]}


def rungs_from_json(plain: Mapping[str, Mapping[str, Any]]) -> dict[int, RungResult]:
    """Read results at rungs, by epoch.

    Raises:
        LookupError, ValueError: they are damaged.
    """
    return {int(epoch): RungResult.from_dict(reached) for epoch, reached in plain.items()}


def rungs_to_json(rungs: Mapping[int, RungResult]) -> dict[str, dict[str, float]]:
    """Results at rungs, as the ledger stores them."""
    return {str(epoch): reached.to_dict() for epoch, reached in rungs.items()}


def failed(cause: str, reason: str) -> TrialResult:
    """The result of a trial that failed for good.

    Args:
        cause: as `failures` names it.
        reason: for the reader.
    """
    return TrialResult("failed", cause=cause, reason=reason)


def error_content(failure: TrialResult, job: str) -> dict[str, Any]:
    """The content of `error.json`, which `worker_files.error` reads.

    Args:
        job: the identity of the job that failed.
    """
    return {"state": failure.state, **failure.to_dict(), "job": job}


def _present(value: float | None, result: TrialResult) -> float:
    if value is None:
        raise LookupError(f"a {result.state} trial without this result")
    return float(value)
