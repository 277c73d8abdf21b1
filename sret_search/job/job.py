"""A training as plain data: its inputs, and its names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sret_search.architecture import Architecture
from sret_search.cost import MEMORY_BUDGET, cost, train_memory
from sret_search.job.data import Data
from sret_search.job.recipe import Recipe

MOST_DEPTHS = 1000
"""Largest number of depths in an elastic training."""


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
        ValueError: the weights do not fit every depth of an elastic recipe.
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
        recipe = plain["recipe"] | dict.fromkeys(("epochs", "steps", "samples", "decay"))
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


def check_depths(architecture: Architecture, recipe: Recipe) -> None:
    """Check that the weights fit every depth that a recipe trains.

    Raises:
        ValueError: a depth is beyond the architecture's, there are too many depths, or the weights
            do not fit a depth.
    """
    if not recipe.is_elastic:
        return
    loops = _depths(architecture, recipe)
    most = architecture.loops
    if recipe.depths and recipe.depths[-1] > most:
        raise ValueError(
            f"depths {recipe.depths[-1]} is more than the {most} loops of the architecture"
        )
    if len(loops) > MOST_DEPTHS:
        raise ValueError(
            f"at most {MOST_DEPTHS:,} depths can be trained, not {len(loops):,}: name some in"
            " `depths`"
        )
    # Weights that change with depth at all have changed at the shallowest depth.
    if architecture.at_loops(loops[0]).weights != architecture.weights:
        raise ValueError(
            f"depth_training {recipe.depth_training} needs weights that fit every depth: no NLL"
            " for each execution, and no norms, gains or LoRA factors for each loop"
        )


def trained_depths(architecture: Architecture, recipe: Recipe) -> tuple[Architecture, ...]:
    """Architectures that a recipe trains the weights to run as. The last and deepest is
    `architecture`.

    Raises:
        ValueError: a depth is beyond the architecture's, or its weights do not fit it.
    """
    check_depths(architecture, recipe)
    *shallow, _ = _depths(architecture, recipe)
    return (*(architecture.at_loops(loops) for loops in shallow), architecture)


def _depths(architecture: Architecture, recipe: Recipe) -> Sequence[int]:
    """Loops of all depths that a recipe trains, in ascending order."""
    most = architecture.loops
    if not recipe.is_elastic:
        return (most,)
    if recipe.depths:
        return sorted({*recipe.depths, most})
    return sorted({1, most}) if recipe.depth_training == "mixed" else range(1, most + 1)


def depths_of_step(architecture: Architecture, recipe: Recipe) -> list[tuple[Architecture, float]]:
    """Architectures that a training step runs, each with its mean number of runs a step."""
    depths = trained_depths(architecture, recipe)
    if recipe.depth_training == "sampled":
        return [(depth, 1 / len(depths)) for depth in depths]
    if recipe.depth_training != "sandwich":
        return [(depth, 1) for depth in depths]
    ends = {0, len(depths) - 1}
    between = len(depths) - len(ends)
    return [(depth, 1 if i in ends else 1 / between) for i, depth in enumerate(depths)]


def train_macs(architecture: Architecture, recipe: Recipe, images: int) -> int:
    """Multiply-adds of a training on a part of `images` images.

    An image costs three forward passes, since a backward pass costs two. Where depths are drawn, it
    is the mean. A teacher's, evaluation's and recomputed multiply-adds are not counted.
    """
    runs = depths_of_step(architecture, recipe)
    return round(3 * sum(times * cost(a).macs for a, times in runs) * recipe.images_seen(images))


def step_memory(architecture: Architecture, recipe: Recipe, processes: int = 1) -> int:
    """Bytes at the fullest moment of a training step of one process.

    Counted in float32 with AdamW, at the deepest of the trained depths. Beyond `MEMORY_BUDGET`,
    activations are recomputed. PyTorch's fixed memory is not counted. For "sgd" and "muon", which
    keep one moment of some weights where AdamW keeps two, it is an upper bound.
    """
    return train_memory(architecture, recipe.images_at_once(processes), MEMORY_BUDGET).total


def candidate_name(architecture: Architecture, recipe: Recipe, parent: Parent | None = None) -> str:
    """Name of an architecture and recipe: eight hexadecimal digits, the same for equal models."""
    plain = {"architecture": architecture.built, "recipe": recipe.built(architecture.loops)}
    if parent is not None:
        plain["parent"] = dataclasses.asdict(parent)
    return _digest(plain)[:8]
