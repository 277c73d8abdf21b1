"""Records of the reports and the result of a training, and their JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Score = Literal["entropy", "distance"]
"""A score of an image after a loop. "entropy" is that of the softmax over classes, in nats
(BranchyNet, Teerapittayanon et al., 1709.01686). "distance" is ‖z − z before‖ / ‖z before‖, where
z are the image's mean tokens, which the head reads, after this loop and the loop before; nothing is
before the first loop."""
SCORES: tuple[Score, ...] = get_args(Score)
_LATER = "angles", "distances", "read_after", "accuracies"
"""Parts of an entry of `depth.json` that earlier programs did not record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics:
    """The metrics of an epoch.

    Attributes:
        epoch: its number, from 1.
        step: steps of the training by its end.
        train_loss, val_loss, test_loss: mean cross-entropies in nats.
        val_accuracy, test_accuracy: fractions.
        seconds: of all attempts at the training, by its end.
        test_loss, test_accuracy: None but in the history of a job with a test curve.
    """

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    seconds: float
    test_loss: float | None = None
    test_accuracy: float | None = None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> EpochMetrics:
        """Read metrics from JSON; other keys are left aside.

        Raises:
            KeyError: a metric is missing.
        """
        return cls(
            epoch=plain["epoch"],
            step=plain["step"],
            train_loss=plain["train_loss"],
            val_loss=plain["val_loss"],
            val_accuracy=plain["val_accuracy"],
            seconds=plain["seconds"],
            test_loss=plain.get("test_loss"),
            test_accuracy=plain.get("test_accuracy"),
        )

    def to_dict(self) -> dict[str, Any]:
        """The metrics that there are, by name, as JSON has them."""
        return _known(self)


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The report that a checkpoint is on disk.

    Attributes:
        step: steps of the training by then.
    """

    step: int


@dataclass(frozen=True, slots=True)
class Notice:
    """The report of something about a training that its user should know.

    Attributes:
        text: a line for the reader.
    """

    text: str


@dataclass(frozen=True, slots=True)
class DepthMetrics:
    """The effect of each execution after an epoch: an entry of `depth.json`.

    Attributes:
        updates: size of the update of each execution, relative to its input.
        gradient_shares: share of each execution in the gradient.
        angles: angle between each update and the update before it in its stage, in degrees; None
            where there is none.
        distances: distance of the state after each execution to the last state of its stage,
            relative to the size of the last state.
        read_after: executions of the network after which the head is read: the loops of the block
            that runs last.
        accuracies: accuracy on validation images of the head read there, as fractions.

    Earlier programs did not record the last four, which are then empty.
    """

    epoch: int
    updates: list[float]
    gradient_shares: list[float]
    angles: list[float | None] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    read_after: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> DepthMetrics:
        """Read an entry from JSON.

        Raises:
            KeyError: a part is missing.
        """
        later = {name: plain[name] for name in _LATER if name in plain}
        return cls(plain["epoch"], plain["updates"], plain["gradient_shares"], **later)

    def to_dict(self) -> dict[str, Any]:
        """The entry as `depth.json` has it."""
        later = {name: values for name in _LATER if (values := getattr(self, name))}
        return {
            "epoch": self.epoch,
            "updates": self.updates,
            "gradient_shares": self.gradient_shares,
            **later,
        }


@dataclass(frozen=True, slots=True)
class RerunResult:
    """The metrics of trained weights at another depth, without further training.

    Attributes:
        executions: of blocks in a forward pass.
        val_accuracy, test_accuracy: fractions.
        val_loss: mean cross-entropy in nats; may be NaN or infinite.
    """

    executions: int
    val_accuracy: float
    val_loss: float
    test_accuracy: float

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RerunResult:
        """Read a rerun from JSON.

        Raises:
            KeyError: a part is missing.
        """
        return cls(*(plain[each.name] for each in fields(cls)))

    def to_dict(self) -> dict[str, Any]:
        """The rerun as JSON has it."""
        return _known(self)

    def accuracy(self, part: str) -> float:
        """The accuracy on a part of the data, "val" or "test", as a fraction."""
        return self.val_accuracy if part == "val" else self.test_accuracy


@dataclass(frozen=True, slots=True)
class FinalEvaluation:
    """The metrics of a training at its end.

    Attributes:
        val_accuracy, test_accuracy: fractions.
        val_loss, test_loss: mean cross-entropies in nats; that of the test part may be NaN or
            infinite.
        reruns: in the order of the job's.
        latency_ms, latency_spread: None where the job does not ask for them, and in all processes
            of a training but the first.
    """

    val_accuracy: float
    val_loss: float
    test_accuracy: float
    test_loss: float
    reruns: tuple[RerunResult, ...]
    latency_ms: float | None = None
    latency_spread: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as `result.json` has it."""
        return _known(self) | {"reruns": [rerun.to_dict() for rerun in self.reruns]}


@dataclass(frozen=True, slots=True)
class Divergence:
    """Why a training ended before its time.

    Attributes:
        reason: for the reader.
        step: the step whose loss was not finite.
    """

    reason: str
    step: int

    def to_dict(self) -> dict[str, Any]:
        """The divergence as `result.json` has it."""
        return _known(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The result of a training that has ended: the content of `result.json`.

    Attributes:
        end: its last evaluation, or its divergence.
        job: the identity of the job.
        epochs: of the training, perhaps with a part of an epoch.
        steps: of the optimizer.
        seconds: of all attempts.
        train_macs: multiply-adds of the whole training.
        history: epoch by epoch.
        environment: versions and hardware on which its last bits may depend, by name.
    """

    end: FinalEvaluation | Divergence
    job: str
    epochs: float
    steps: int
    seconds: float
    train_macs: int
    history: tuple[EpochMetrics, ...]
    environment: Mapping[str, Any]

    @property
    def state(self) -> Literal["complete", "diverged"]:
        """Whether it was trained to its end."""
        return "complete" if isinstance(self.end, FinalEvaluation) else "diverged"

    def to_dict(self) -> dict[str, Any]:
        """The result as `result.json` has it."""
        return {
            "state": self.state,
            **self.end.to_dict(),
            "job": self.job,
            "epochs": self.epochs,
            "steps": self.steps,
            "seconds": self.seconds,
            "train_macs": self.train_macs,
            "history": [epoch.to_dict() for epoch in self.history],
            "environment": dict(self.environment),
        }


@dataclass(frozen=True, slots=True)
class TrainingAtRung:
    """A training that was to end after an epoch: the content of `rung-<epoch>.json`.

    Attributes:
        job: the identity of the job.
        reached: the metrics of the epoch.
    """

    job: str
    reached: EpochMetrics

    def to_dict(self) -> dict[str, Any]:
        """The content of the file."""
        return {"state": "rung", "job": self.job, **self.reached.to_dict()}


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """A training that was asked to stop, with all that it has done in a checkpoint.

    Attributes:
        steps: of the optimizer, by then.
        seconds: of all attempts.
    """

    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """Images that leave at a threshold.

    Attributes:
        accuracy, accuracy_standard_error: fractions; the error is binomial.
        executions: mean executions of an image.
        left: images that left after each loop. The last loop has all others.
    """

    threshold: float
    accuracy: float
    accuracy_standard_error: float
    executions: float
    left: list[int]


@dataclass(frozen=True, slots=True)
class EarlyExits:
    """Images that leave before the last loop.

    Attributes:
        score: "entropy" in nats, or "distance".
        executions: executions by the end of each loop.
        accuracies: accuracy of the head read after each loop, as fractions.
        thresholds: one entry for each threshold, in ascending order.
    """

    score: str
    executions: list[int]
    accuracies: list[float]
    thresholds: list[EarlyExit]


def standard_error(accuracy: float, images: int) -> float:
    """The binomial standard error of an accuracy, as a fraction."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def _known(
    record: EpochMetrics | RerunResult | FinalEvaluation | Divergence,
) -> dict[str, Any]:
    values = ((each.name, getattr(record, each.name)) for each in fields(record))
    return {name: value for name, value in values if value is not None}
