"""Rules of a study that types cannot express. Each is a generator of the problems that it finds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sret_search.config.problems import Problem, typed
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.job import image_macs
from sret_search.job.paths import PathError, expanded, is_url
from sret_search.job.recipe import UNITS
from sret_search.space.assembly import as_key
from sret_search.space.candidate import COUNTS, CostContext, Values
from sret_search.space.feasible_set import AT_MOST_OF_GRID
from sret_search.space.screening import Screened, screen
from sret_search.space.space import Space
from sret_search.study.study import Study

_DRAWS = 1000, 20_000
"""Number of draws of the first check, and of the second before a space counts as infeasible."""


def home_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find folders in a home folder that does not exist."""
    data, trials = study.file.data, study.file.storage.trials
    given = {("data", "root"): data.root, ("data", "imagefolder"): data.imagefolder}
    for place, path in (given | {("storage", "trials"): trials}).items():
        try:
            if path is not None and not is_url(path):
                expanded(path)
        except PathError as error:
            yield doc.problem(place, str(error))


def data_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find fields of the architecture that do not fit the images or the classes."""
    data, space = study.file.data, study.space
    if data.facts is None:
        return
    for name in ("image_size", "in_channels", "classes"):
        needed = getattr(data.facts, name)
        here: KeyPath = ("architecture", name)
        given = [(getattr(space.architecture, name), here)]
        if name in space.axes:
            choices = space.axes[name].choices or []
            given += [(value, ("axes", name, "choices", i)) for i, value in enumerate(choices)]
        for value, where in given:
            if value != needed:
                message = f"the data set {data.name} has {name} {needed}, but here it is {value}"
                if name == "image_size" and data.name != "digits":
                    message += f"; `data.image_size: {value}` gives such images"
                yield doc.problem(where, message)


def search_problems(study: Study, doc: SourceFile, space_doc: SourceFile) -> Iterator[Problem]:
    """Find a sampler that cannot search this space, and objectives that are not possible."""
    search, space = study.file.search, study.space
    if search.entry.exhaustive:
        if search.trials is not None:
            yield doc.problem(
                ("search", "trials"),
                "the space gives the number of trials of a grid; leave this out",
            )
        for path, axis in space.axes.items():
            if axis.choices is None and not space.is_whole(path):
                message = f"a grid needs `choices` for {path}: its range has infinitely many values"
                yield space_doc.problem(("axes", path), message)
        if space.size is not None and study.points.whole is None:
            message = (
                f"a grid trains every candidate, and this space has more than {AT_MOST_OF_GRID:,}"
                " combinations: narrow it, or name another sampler with `trials`"
            )
            yield doc.problem(("search", "sampler"), message)
    elif search.trials is None:
        message = f"the sampler {search.sampler} needs `trials`, the number of trainings"
        yield doc.problem(("search", "sampler"), message)
    for name, direction in study.file.objectives.items():
        best = "max" if name == "accuracy" else "min"
        if direction != best:
            yield doc.problem(("objectives", name), f"{name} can only be {best}")
    if study.latency is None and "latency" in study.file.model_fields_set:
        message = "`latency` is for the objective latency_ms, which this study does not have"
        yield doc.problem(("latency",), message, at_key=True)
    if not {"accuracy", "loss"} & set(study.file.objectives):
        yield doc.problem(
            ("objectives",),
            "one objective must be accuracy or loss: the others are costs",
        )
    elif search.entry.predictive:
        yield from _predictive_problems(study, doc)


def _predictive_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find objectives of a predictive sampler that need more than one model, or include no cost."""
    name, objectives = study.file.search.sampler, list(study.file.objectives)
    measured = [each for each in objectives if each in ("accuracy", "loss", "latency_ms")]
    if "latency_ms" in measured:
        message = (
            f"the sampler {name} learns accuracy or loss alone, and latency_ms is measured, too:"
            " macs is a cost that is known; or tpe takes latency_ms"
        )
        yield doc.problem(("objectives", "latency_ms"), message, at_key=True)
    elif len(measured) > 1:
        message = f"the sampler {name} learns one objective: leave out accuracy or loss"
        yield doc.problem(("objectives", measured[1]), message, at_key=True)
    if len(measured) == len(objectives):
        message = (
            f"the sampler {name} needs a known cost among the objectives:"
            " params, macs, train_macs, memory or bytes"
        )
        yield doc.problem(("objectives",), message)


def scheduler_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find a scheduler that cannot rank these objectives, rungs that the recipe does not have, and
    comparisons that need trials which are trained to their end."""
    scheduler, recipe, objectives = study.file.scheduler, study.file.recipe, study.file.objectives
    here: KeyPath = ("scheduler", "name")
    needed = {"none": ("asha", "mo_asha"), "asha": ("mo_asha",), "mo_asha": ()}[scheduler.name]
    fields = ("grace", "eta", "strata") if scheduler.name == "none" else ("strata",)
    for name in scheduler.model_fields_set & set(fields if needed else ()):
        message = f"`{name}` is for {' and '.join(needed)}: leave it out, or name a scheduler"
        yield doc.problem(("scheduler", name), message, at_key=True)
    if scheduler.name == "none":
        return
    if scheduler.name == "asha" and len(objectives) > 1:
        message = (
            f"asha ranks by one objective, but there are {', '.join(objectives)}: mo_asha ranks by"
            " several"
        )
        yield doc.problem(here, message)
    if recipe.unit != "epochs":
        message = f"rungs are counted in epochs: give `epochs` in place of `{recipe.unit}`"
        yield doc.problem(("recipe", recipe.unit), message, at_key=True)
    elif not isinstance(recipe.epochs, int):
        message = f"rungs are counted in whole epochs, but got {recipe.epochs}"
        yield doc.problem(("recipe", "epochs"), message)
    elif recipe.epochs <= scheduler.grace:
        message = f"`grace < epochs` must hold, but got {scheduler.grace} and {recipe.epochs}"
        yield doc.problem(("scheduler", "grace"), message)
    for path in ("recipe", *(f"recipe.{unit}" for unit in UNITS)):
        if path in study.space.axes:
            message = f"trials of different lengths cannot compete, but the space has {path}"
            yield doc.problem(here, message)
    if study.file.search.seeds > 1:
        message = (
            "a scheduler would stop some seeds of a candidate and not others: leave this out;"
            " `confirm` trains the front with more seeds"
        )
        yield doc.problem(("search", "seeds"), message)
    for name, why in (
        ("arms", "arms are compared at the end of their trainings"),
        ("contrasts", "contrasts compare candidates that are trained to their end"),
        ("controls", "twins stand beside candidates that are trained to their end"),
    ):
        if getattr(study.file, name):
            message = f"{why}, and {scheduler.name} stops trials earlier: leave out one of them"
            yield doc.problem((name,), message, at_key=True)


def length_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find multiply-adds that are too few for a step of any candidate."""
    space, recipe = study.space, study.file.recipe
    if recipe.macs is None or "recipe.macs" in space.axes:
        return
    in_epochs = replace(recipe, macs=None, warmup=None, decay=None)
    rng, unlimited = random.Random(0), replace(space, recipe=in_epochs)
    points = [unlimited.draw(rng) for _ in range(_DRAWS[0])]
    steps = [
        c.recipe.batch_size * image_macs(c.architecture, c.recipe)
        for c in screen(unlimited, points, CostContext()).candidates
    ]
    if steps and recipe.macs < min(steps):
        message = (
            f"{recipe.macs:.3g} multiply-adds are less than one step of any candidate, which takes"
            f" {min(steps):.3g} or more"
        )
        yield doc.problem(("recipe", "macs"), message)


def depth_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find gradients through more loops than any candidate has."""
    through = study.file.recipe.depth_training.through
    axes = study.space.axes
    if through is None or any(path.startswith("recipe.depth_training") for path in axes):
        return
    looped = any(path.endswith(".loops") or ".loops." in path for path in axes)
    if looped and not study.is_listed:
        return
    most = max(c.architecture.loops for c in study.examples(1))
    if through > most:
        message = (
            f"`backprop: {through}` is more than the {most} loops of any candidate: `all` would do"
        )
        yield doc.problem(("recipe", "depth_training", "backprop"), message)


def budget_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find limits that contradict each other, or that need a calibration of this machine."""
    for name, limit in study.space.limits.items():
        if limit.min is not None and limit.max is not None and limit.min > limit.max:
            message = f"`min <= max` must hold, but got {limit.min} and {limit.max}"
            yield doc.problem(("budget", name), message)
    if "seconds" in study.space.limits and study.terms.timing is None:
        message = (
            "budget.seconds needs a calibration of this machine:"
            f" sret-search plan {typed(study.path)} --calibrate"
        )
        yield doc.problem(("budget", "seconds"), message, at_key=True)


def feasibility_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find values that no candidate can use, and a budget within which no candidate lies.

    A combination that cannot be built is dropped. A value that only such combinations have is a
    mistake of the user.
    """
    space = study.space
    rng = random.Random(0)
    for draws in _DRAWS:
        screened = screen(space, [space.draw(rng) for _ in range(draws)], study.terms)
        if screened.feasible.any() and not _unused(screened):
            return
    screened = study.points.whole or screened
    has_unused = False
    for path, i, values in _unused(screened):
        has_unused = True
        reason = _reason(space, values)
        yield doc.problem(("axes", path, "choices", i), reason)
    if has_unused:
        return
    if screened.closest is None:
        reason = _reason(space, screened.points[0])
        yield doc.problem(("axes",), f"no candidate can be built: {reason}", at_key=True)
    elif not screened.feasible.any():
        candidate = screened.candidate(screened.closest)
        names = dict.fromkeys((*COUNTS, *space.limits))
        known = {name: candidate.known(name, study.terms) for name in names}
        has = ", ".join(f"{v:,.10g} {name}" for name, v in known.items() if v is not None)
        message = (
            f"no candidate meets the budget; the closest has {has}"
            f" ({space.over_budget(candidate, study.terms)})"
        )
        yield doc.problem(("budget",), message)


def _unused(screened: Screened) -> list[tuple[str, int, Values]]:
    """Choices with which no candidate can be built: axis, index, and a point with the choice."""
    unused = []
    for path, axis in screened.space.axes.items():
        if axis.choices is None:
            continue
        built = {as_key(c.values[path]) for c in screened.candidates if path in c.values}
        having: dict[Any, Values] = {}
        for values in screened.points if len(built) < len(axis.choices) else ():
            if path in values:
                having.setdefault(as_key(values[path]), values)
        for i, choice in enumerate(axis.choices):
            key = as_key(choice)
            if key not in built and key in having:
                unused.append((path, i, having[key]))
    return unused


def _reason(space: Space, values: Values) -> str:
    """Reason why a candidate cannot be built."""
    try:
        space.candidate(values)
    except ValueError as error:
        return str(error)
    return "for a reason that is not known"
