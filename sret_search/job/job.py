"""A training as plain data: its inputs, and its names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sret_search.architecture import Architecture
from sret_search.job.compute import check_length
from sret_search.job.data import Data
from sret_search.job.depths import check_depths
from sret_search.job.recipe import UNITS, Recipe


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Parent:
    """The trial that a training continues: its number, and the identity of its job."""

    trial: int
    job: str


@dataclass(frozen=True, slots=True)
class Job:
    """The inputs of a training. Equal jobs end with the same bits on the same kind of CPU.

    Attributes:
        seed: source of every random draw: initialisation, order of images, augmentation.
        threads: CPU threads. Another number sums in another order, with other bits.
        device: "cpu" or "cuda".
        processes: processes that share each batch, one for each GPU.
        deterministic: use only operations that give the same bits each time. Some are slower.
        monitor: after each epoch, record the effect of each execution.
        test_curve: after each epoch, evaluate the test part too. For benchmarks of samplers only:
            they score by it a choice that was made without it.
        whole: train on the validation images too. Validation then measures nothing.
        reruns: architectures that the trained weights are also run as, without training.
        latency: images in the forward pass that is timed at the end; None times nothing.
        parent: the trial whose weights, averages and optimizer state this training starts from.

    Raises:
        ValueError: the weights do not fit every depth of an elastic recipe, a block would get no
            gradient, or the multiply-adds of the recipe are too few for a step.
    """

    architecture: Architecture
    recipe: Recipe
    data: Data
    seed: int
    threads: int = 1
    device: str = "cpu"
    processes: int = 1
    deterministic: bool = True
    monitor: bool = False
    test_curve: bool = False
    whole: bool = False
    reruns: tuple[Architecture, ...] = ()
    latency: int | None = None
    parent: Parent | None = None

    def __post_init__(self) -> None:
        check_depths(self.architecture, self.recipe)
        check_length(self.architecture, self.recipe)

    @property
    def candidate(self) -> str:
        """The candidate's name, the same for all seeds. A parent changes it: a training in two
        pieces is not a training in one."""
        return candidate_name(self.architecture, self.recipe, self.parent)

    @property
    def identity(self) -> str:
        """Hash of the whole job. Results and checkpoints carry it and are used for no other job."""
        return _digest(self.to_dict())

    @property
    def trajectory(self) -> str:
        """Hash of the path that the weights take before the decay of "wsd". Jobs that differ only
        in length and in the start of the decay share it."""
        plain = self.to_dict()
        lengths = [*(unit for unit in UNITS if unit in plain["recipe"]), "decay"]
        # A curriculum grows at fractions of the training, so its path depends on the length.
        grows = self.recipe.depth_training.kind == "curriculum"
        recipe = plain["recipe"] | ({} if grows else dict.fromkeys(lengths))
        recipe["warmup"] = [self.recipe.unit, self.recipe.warmup_in_units]
        return _digest(plain | {"recipe": recipe, "reruns": [], "latency": None})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        # The key is written only if asked for: the names of all other jobs depend on its absence.
        curve = {"test_curve": True} if self.test_curve else {}
        return {
            "architecture": self.architecture.to_dict(),
            "recipe": self.recipe.to_dict(),
            "data": self.data.to_dict(),
            "seed": self.seed,
            "threads": self.threads,
            "device": self.device,
            "processes": self.processes,
            "deterministic": self.deterministic,
            "monitor": self.monitor,
            **curve,
            "whole": self.whole,
            "reruns": [a.to_dict() for a in self.reruns],
            "latency": self.latency,
            "parent": None if self.parent is None else dataclasses.asdict(self.parent),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Job:
        """Build a job from the plain data of `to_dict`.

        Raises:
            KeyError: a key is missing.
            TypeError: a field is unknown.
            ValueError: a field is outside its range.
        """
        return cls(
            architecture=Architecture.from_dict(plain["architecture"]),
            recipe=Recipe.from_dict(plain["recipe"]),
            data=Data.from_dict(plain["data"]),
            seed=plain["seed"],
            threads=plain["threads"],
            device=plain["device"],
            processes=plain["processes"],
            deterministic=plain["deterministic"],
            monitor=plain["monitor"],
            test_curve=plain.get("test_curve", False),
            whole=plain["whole"],
            reruns=tuple(Architecture.from_dict(a) for a in plain["reruns"]),
            latency=plain["latency"],
            parent=None if plain["parent"] is None else Parent(**plain["parent"]),
        )


def candidate_name(architecture: Architecture, recipe: Recipe, parent: Parent | None = None) -> str:
    """Name of an architecture and recipe: eight hexadecimal digits, the same for equal models."""
    plain = {"architecture": architecture.built, "recipe": recipe.built(architecture.loops)}
    if parent is not None:
        plain["parent"] = dataclasses.asdict(parent)
    return _digest(plain)[:8]
