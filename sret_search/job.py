"""What one training is a function of: architecture, recipe, data, seed, threads. Plain data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sret_search.architecture import Architecture

_STRICT = {"extra": "forbid", "strict": True}


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a candidate is trained: AdamW, linear warmup, cosine to zero.

    Attributes:
        epochs: passes over the training part.
        batch_size: images a step; the last batch of an epoch is smaller.
        lr: peak learning rate; warmup_epochs: epochs (or a part of one) until it is reached.
        weight_decay: of matrices and convolutions; norms, biases, positions and residual
            scales are left alone.
        label_smoothing: mass spread over all classes.
        clip_grad_norm: largest norm of the gradient, or None.
    """

    epochs: int = 10
    batch_size: int = 32
    lr: float = 3e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    clip_grad_norm: float | None = 1.0

    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        _need(self.epochs >= 1, f"`epochs >= 1` must hold, but got {self.epochs}")
        _need(self.batch_size >= 1, f"`batch_size >= 1` must hold, but got {self.batch_size}")
        _need(0 < self.lr < math.inf, f"`lr > 0` must hold, but got {self.lr}")
        _need(
            0 <= self.warmup_epochs <= self.epochs,
            f"`0 <= warmup_epochs <= epochs` must hold, but got {self.warmup_epochs} of {self.epochs}",
        )
        _need(
            0 <= self.weight_decay < math.inf,
            f"`weight_decay >= 0` must hold, but got {self.weight_decay}",
        )
        _need(
            0 <= self.label_smoothing < 1,
            f"`0 <= label_smoothing < 1` must hold, but got {self.label_smoothing}",
        )
        _need(
            self.clip_grad_norm is None or self.clip_grad_norm > 0,
            f"`clip_grad_norm > 0` must hold, but got {self.clip_grad_norm}",
        )


@dataclass(frozen=True, slots=True)
class Data:
    """A data set and its split into three parts, the same for every trial of a study.

    Attributes:
        name: "digits", 1,797 handwritten digits of 8×8 pixels that come with scikit-learn.
        split_seed: of the shuffle that comes before the cut.
        val, test: fractions of all images; the rest is for training.
    """

    name: Literal["digits"] = "digits"
    split_seed: int = 0
    val: float = 0.1
    test: float = 0.2

    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        _need(self.split_seed >= 0, f"`split_seed >= 0` must hold, but got {self.split_seed}")
        _need(
            self.val > 0 and self.test > 0 and self.val + self.test < 1,
            f"`val > 0`, `test > 0` and `val + test < 1` must hold, but got {self.val} and {self.test}",
        )

        _need(
            min(self.sizes) > 0,
            f"each part needs an image, but val {self.val} and test {self.test} leave {self.sizes}",
        )

    @property
    def facts(self) -> Facts:
        return FACTS[self.name]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Images for training, validation and test."""
        images = self.facts.images
        val, test = round(self.val * images), round(self.test * images)
        return images - val - test, val, test


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a data set without loading it."""

    images: int
    image_size: int
    in_channels: int
    classes: int


FACTS = {"digits": Facts(images=1797, image_size=8, in_channels=1, classes=10)}


@dataclass(frozen=True, slots=True)
class Job:
    """One training. Two equal jobs end with the same bits on the same kind of CPU.

    Attributes:
        seed: of initialisation, order of images and every random draw.
        threads: of the CPU; sums are taken in another order with another number.
        device: "cpu" or "cuda".
        reruns: architectures that the trained weights are also run as, without training.
    """

    architecture: Architecture
    recipe: Recipe
    data: Data
    seed: int
    threads: int = 1
    device: str = "cpu"
    reruns: tuple[Architecture, ...] = ()

    @property
    def candidate(self) -> str:
        """The name of what is trained, whatever the seed."""
        return candidate_name(self.architecture, self.recipe)

    @property
    def identity(self) -> str:
        """Names the whole job; results and checkpoints carry it, and count for no other job."""
        return _digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        return {
            "architecture": self.architecture.to_dict(),
            "recipe": dataclasses.asdict(self.recipe),
            "data": dataclasses.asdict(self.data),
            "seed": self.seed,
            "threads": self.threads,
            "device": self.device,
            "reruns": [a.to_dict() for a in self.reruns],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Job:
        return cls(
            architecture=Architecture.from_dict(plain["architecture"]),
            recipe=Recipe(**plain["recipe"]),
            data=Data(**plain["data"]),
            seed=plain["seed"],
            threads=plain["threads"],
            device=plain["device"],
            reruns=tuple(Architecture.from_dict(a) for a in plain["reruns"]),
        )


def candidate_name(architecture: Architecture, recipe: Recipe) -> str:
    """Eight hexadecimal digits that name an architecture and recipe by what they build."""
    plain = {"architecture": architecture.to_dict(), "recipe": dataclasses.asdict(recipe)}
    return _digest(plain)[:8]
