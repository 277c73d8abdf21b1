"""What is known of a trained model besides its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sret_search.architecture import Architecture
from sret_search.job import Job, Recipe


@dataclass(frozen=True)
class Origin:
    """The trial that a model is from, and what was measured of it. Accuracies are fractions, by
    the part of the data; there are only those that may be shown.

    Attributes:
        architecture: of the model, which may run another depth of the job's weights.
        before: recipes of the trainings that the job goes on from, the first one first.
        images: of training, validation and test.
        accuracy: of the model.
        seeds: trainings of the same candidate, this one among them.
        means: over those seeds.
        depths: executions that the same weights were measured at, and the accuracy there.
        chosen: why this trial, as a sentence; empty where its number was given.
        steps, seconds, train_macs: of the training.
        ended: its date; None where that is not known.
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
        """The part whose accuracy says most."""
        return "test" if "test" in self.accuracy else "val"
