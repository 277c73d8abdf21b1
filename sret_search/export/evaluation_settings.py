"""The settings of an exported model's accuracy, as a record: the content of `evaluation.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """The settings with which the accuracy of an exported model was measured.

    Attributes:
        image_size, in_channels, classes: of the images and the model; None if the file lacks them.
        mean, std: of each channel, for normalising images; None if not known.
        part: the part of the data, "val" or "test".
        accuracy: fractions, by part.
        batch: images in a batch.
        seed: of random draws in the evaluation.
    """

    image_size: int | None = None
    in_channels: int | None = None
    classes: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    part: str | None = None
    accuracy: Mapping[str, float] | None = None
    batch: int | None = None
    precision: str | None = None
    seed: int | None = None

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> EvaluationSettings:
        """Read the settings that a file has. Other keys are ignored."""
        return cls(**{name: plain[name] for name in cls.__slots__ if name in plain})

    def to_json(self) -> dict[str, Any]:
        """The content of the file, without what is not known."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        known = {name: value for name, value in parts.items() if value is not None}
        lists = {name: list(known[name]) for name in ("mean", "std") if name in known}
        return known | lists | {"accuracy": dict(self.accuracy or {})}
