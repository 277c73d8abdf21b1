"""A model's training as a separate study: plain data of a study file and a space file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sret_search.architecture import Architecture
from sret_search.job import Job, Recipe, seeds

Named = Callable[[str], str]
"""A function from the name of a model in a recipe to its name elsewhere."""


def space_of(architecture: Architecture) -> dict[str, Any]:
    """A space with a single architecture and no axes."""
    return {"architecture": architecture.to_dict()}


@dataclass(frozen=True, slots=True)
class RepeatedStudy:
    """A study that trains a job again.

    Attributes:
        file: the study file as plain data, with the first branch at most.
        later_branches: further branches as plain data. Each is added to the file after the trial
            that it continues has ended.
    """

    file: dict[str, Any]
    later_branches: list[dict[str, Any]]


def study_of(
    name: str, space: str, job: Job, before: Sequence[Recipe], named: Named
) -> RepeatedStudy:
    """Make a study that trains a job again.

    Args:
        name: name of the study.
        space: name of the file with `space_of` the job's architecture.
        before: recipes of the trainings that the job continues, in their order.
        named: the name elsewhere of a model.
    """
    recipes = [_recipe(recipe, named) for recipe in (*before, job.recipe)]
    first = job.seed - seeds.CONFIRMATION if job.whole else job.seed
    data = _changed(job.data)
    if job.data.folds is not None:
        data["fold"] = (job.data.fold - job.seed + first) % job.data.folds
    objectives = {"accuracy": "max", "params": "min"}
    timed = {} if job.latency is None else {"latency_ms": "min"}
    study: dict[str, Any] = {
        "study": name,
        "space": space,
        "data": data or {"name": job.data.name},
        "recipe": recipes[0],
        "objectives": objectives | timed,
        "search": {"sampler": "grid", "seeds": 1, "seed": first},
        "compute": _compute(job),
    }
    if job.latency is not None:
        study["latency"] = {"batch_size": job.latency}
    if job.monitor:
        study["monitor"] = True
    if job.whole:
        study["confirm"] = {"seeds": 2, "on": "train+val"}
    branches = [{"trial": i, "recipe": recipe} for i, recipe in enumerate(recipes[1:])]
    if branches:
        study["branches"] = branches[:1]
    return RepeatedStudy(study, branches[1:])


def _recipe(recipe: Recipe, named: Named) -> dict[str, Any]:
    """A recipe without defaults, and with the names that models have elsewhere."""
    plain = _changed(recipe, Recipe.from_dict({recipe.unit: recipe.length}))
    plain = {recipe.unit: recipe.length} | plain
    if recipe.init is not None:
        plain["init"] = named(recipe.init)
    if recipe.distill is not None:
        plain["distill"] = dataclasses.asdict(recipe.distill)
        plain["distill"]["teacher"] = named(recipe.distill.teacher)
    if "depth_training" in plain:
        plain["depth_training"] = recipe.depth_training.plain
    plain["augment"] = _changed(recipe.augment)
    return {key: value for key, value in plain.items() if value != {}}


def _compute(job: Job) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "cpus_per_trial": job.threads * job.processes,
        "deterministic": job.deterministic,
    }
    if job.processes > 1:
        plain["processes_per_trial"] = job.processes
    if job.device == "cpu":
        plain["gpus_per_trial"] = 0
    elif job.processes > 1:
        plain["gpus_per_trial"] = job.processes
    return plain


def _changed(part: Any, usual: Any = None) -> dict[str, Any]:
    """Fields of a part that differ from the usual part."""
    usual = type(part)() if usual is None else usual
    return {
        field.name: plain(getattr(part, field.name))
        for field in dataclasses.fields(part)
        if getattr(part, field.name) != getattr(usual, field.name)
    }


def plain(value: Any) -> Any:
    """A value with lists in place of tuples."""
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
