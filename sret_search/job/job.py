"""One training: what it is a function of, and its names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sret_search.architecture import Architecture
from sret_search.cost import cost
from sret_search.job.data import Data
from sret_search.job.recipe import Recipe


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Parent:
    """The trial that a training goes on from: its number, and the identity of its job."""

    trial: int
    job: str


@dataclass(frozen=True, slots=True)
class Job:
    """One training. Two equal jobs end with the same bits on the same kind of CPU.

    Attributes:
        seed: of initialisation, order of images and every random draw.
        threads: of the CPU; sums are taken in another order with another number.
        device: "cpu" or "cuda".
        processes: that share each batch, one a GPU.
        deterministic: only operations that give the same bits each time; some are slower.
        monitor: after each epoch, record what each execution does.
        reruns: architectures that the trained weights are also run as, without training.
        parent: the trial whose weights, averages and optimizer state are where this one begins.

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
    reruns: tuple[Architecture, ...] = ()
    parent: Parent | None = None

    def __post_init__(self) -> None:
        trained_depths(self.architecture, self.recipe)

    @property
    def candidate(self) -> str:
        """The name of what is trained, whatever the seed; another one for each parent, since
        what was trained in two pieces is not what was trained in one."""
        return candidate_name(self.architecture, self.recipe, self.parent)

    @property
    def identity(self) -> str:
        """Names the whole job; results and checkpoints carry it, and count for no other job."""
        return _digest(self.to_dict())

    @property
    def trajectory(self) -> str:
        """Names the path that the weights take before the decay of "wsd": the same for jobs
        that differ only in how long they train and when they decay."""
        plain = self.to_dict()
        recipe = plain["recipe"] | dict.fromkeys(("epochs", "steps", "samples", "decay"))
        recipe["warmup"] = [self.recipe.unit, self.recipe.warmup_in_units]
        return _digest(plain | {"recipe": recipe, "reruns": []})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        return {
            "architecture": self.architecture.to_dict(),
            "recipe": dataclasses.asdict(self.recipe),
            "data": dataclasses.asdict(self.data),
            "seed": self.seed,
            "threads": self.threads,
            "device": self.device,
            "processes": self.processes,
            "deterministic": self.deterministic,
            "monitor": self.monitor,
            "reruns": [a.to_dict() for a in self.reruns],
            "parent": None if self.parent is None else dataclasses.asdict(self.parent),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Job:
        return cls(
            architecture=Architecture.from_dict(plain["architecture"]),
            recipe=Recipe.from_dict(plain["recipe"]),
            data=Data(**plain["data"]),
            seed=plain["seed"],
            threads=plain["threads"],
            device=plain["device"],
            processes=plain["processes"],
            deterministic=plain["deterministic"],
            monitor=plain["monitor"],
            reruns=tuple(Architecture.from_dict(a) for a in plain["reruns"]),
            parent=None if plain["parent"] is None else Parent(**plain["parent"]),
        )


def trained_depths(architecture: Architecture, recipe: Recipe) -> tuple[Architecture, ...]:
    """What a recipe trains the weights to run as, the deepest last: the architecture itself.

    Raises:
        ValueError: a depth is beyond the architecture's, or its weights do not fit it.
    """
    most = architecture.loops
    every = range(1, most + 1)
    depths = set(recipe.depths or ((1, most) if recipe.depth_training == "mixed" else every))
    if not recipe.is_elastic:
        return (architecture,)
    if max(depths) > most:
        raise ValueError(f"depths {max(depths)} is more than the {most} loops of the architecture")
    found = tuple(architecture.at_loops(loops) for loops in sorted(depths | {most}))
    if any(shallow.weights != architecture.weights for shallow in found):
        raise ValueError(
            f"depth_training {recipe.depth_training} needs weights that fit every depth: no NLL"
            " for each execution, and no norms, gains or LoRA factors for each loop"
        )
    return found


def train_macs(architecture: Architecture, recipe: Recipe, images: int) -> int:
    """Multiply-adds of training on a part of so many images: 3 forward passes each, since a
    backward pass costs two. A teacher's, evaluation's and recomputed ones are not counted; of
    depths that are drawn, it is the mean."""
    depths = [cost(depth).macs for depth in trained_depths(architecture, recipe)]
    between = depths[1:-1]
    an_image = {
        "fixed": depths[-1],
        "mixed": sum(depths),
        "sampled": sum(depths) / len(depths),
        "sandwich": sum({0: depths[0], len(depths) - 1: depths[-1]}.values())
        + sum(between) / max(len(between), 1),
    }[recipe.depth_training]
    return round(3 * an_image * recipe.seen(images))


def candidate_name(architecture: Architecture, recipe: Recipe, parent: Parent | None = None) -> str:
    """Eight hexadecimal digits that name an architecture and recipe by what they build."""
    plain = {"architecture": architecture.to_dict(), "recipe": dataclasses.asdict(recipe)}
    if parent is not None:
        plain["parent"] = dataclasses.asdict(parent)
    return _digest(plain)[:8]
