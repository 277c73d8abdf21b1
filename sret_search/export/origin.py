"""Facts about a trained model besides its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sret_search.architecture import Architecture
from sret_search.job import Job, Recipe


@dataclass(frozen=True)
class Origin:
    """The trial that a model comes from, and its measurements.

    Accuracies are fractions, by part of the data, and only those that may be shown.

    Attributes:
        study, trial: name of the study, and number of the trial.
        job: the training.
        architecture: the model's architecture. It may run another depth of the job's weights.
        before: recipes of the trainings that the job continues, in their order.
        images: images of training, validation and test.
        accuracy: accuracies of the model.
        seeds: number of trainings of the same candidate, with this one.
        means: mean accuracies over these seeds.
        depths: other executions at which the weights were measured, with their accuracies.
        chosen: reason for this trial, as a sentence; empty if its number was given.
        steps, seconds, train_macs: length and cost of the training.
        ended: date of its end; None if not known.
        environment: versions and processor.
    """

    study: str
    trial: int
    job: Job
    architecture: Architecture
    before: Sequence[Recipe]
    images: tuple[int, int, int]
    accuracy: Mapping[str, float]
    seeds: int
    means: Mapping[str, float]
    depths: Sequence[tuple[int, Mapping[str, float]]]
    chosen: str
    steps: int
    seconds: float
    train_macs: int
    ended: str | None
    environment: Mapping[str, Any]

    @property
    def part(self) -> str:
        """The most telling part: the test part, if its accuracy may be shown."""
        return "test" if "test" in self.accuracy else "val"
