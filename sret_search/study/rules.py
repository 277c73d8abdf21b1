"""The rules of a study that no type can hold: each is a generator of what breaks it."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sret_search.architecture import ArchitectureError
from sret_search.errors import nearest
from sret_search.job import Recipe
from sret_search.study.document import Document, Path
from sret_search.study.errors import Problem
from sret_search.study.schema import Axis, field_paths, field_type
from sret_search.study.space import Candidate, Space, addresses
from sret_search.study.study import Study

_LOOKED_AT = 4096
"""Candidates that are tried before a space is called impossible."""


def axis_problems(space: Space, doc: Document) -> Iterator[Problem]:
    """Axes that name no field, have no values, or values of the wrong type."""
    stages = len(space.architecture.stages)
    written: dict[tuple[str | int, ...], str] = {}
    for position, (path, axis) in enumerate(space.axes.items()):
        here = ("axes", path)
        kind = field_type(path)
        missing = _missing_place(path, kind, space)
        if missing is not None:
            message = f"axis {path} is no field of an architecture or recipe; {missing}"
            yield doc.problem(here, message, at_key=True)
            continue
        places = addresses(path, stages)
        for place in places:
            if place in written:
                yield doc.problem(
                    here, f"axis {path} replaces the same field as {written[place]}", at_key=True
                )
                break
            written[place] = path
        yield from _value_problems(path, axis, kind, space, doc)
        for other in axis.when:
            if other not in list(space.axes)[:position]:
                message = f"{other} must be an axis that stands above {path}"
                yield doc.problem((*here, "when", other), message, at_key=True)


def _missing_place(path: str, kind: Any, space: Space) -> str | None:
    """Where else an axis could lead that leads nowhere; None where it leads somewhere."""
    shape = ".".join("*" if part.isdecimal() else part for part in path.split("."))
    if kind is None or "*" in path.removeprefix("stages.*"):
        valid = [*field_paths(), *(f"recipe.{name}" for name in field_paths(Recipe))]
        return nearest(shape, valid)
    try:
        space.default(path)
    except LookupError:
        stages = len(space.architecture.stages)
        return f"the architecture has {stages} stage{'s' if stages > 1 else ''}, counted from 0"
    return None


def _value_problems(
    path: str, axis: Axis, kind: Any, space: Space, doc: Document
) -> Iterator[Problem]:
    here: tuple[str | int, ...] = ("axes", path)
    bounds = [b for b in (axis.low, axis.high) if b is not None]
    if axis.choices is None and len(bounds) < 2:
        yield doc.problem(here, f"axis {path} is empty: give `choices`, or `low` and `high`")
        return
    if axis.choices is not None:
        if bounds or axis.log:
            yield doc.problem(here, "`choices` stand alone, without `low`, `high` or `log`")
        values = [(value, (*here, "choices", i)) for i, value in enumerate(axis.choices)]
        for i, value in enumerate(axis.choices):
            if value in axis.choices[:i]:
                yield doc.problem((*here, "choices", i), f"{value} stands here twice")
    else:
        low, high = bounds
        if low > high:
            yield doc.problem(here, f"`low <= high` must hold, but got {low} and {high}")
        if axis.log and low <= 0:
            yield doc.problem((*here, "low"), f"a logarithmic axis needs `low > 0`, but got {low}")
        values = [(low, (*here, "low")), (high, (*here, "high"))]
    adapter = TypeAdapter(kind)
    for value, where in values:
        try:
            adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            if not isinstance(first.get("ctx", {}).get("error"), ArchitectureError):
                yield doc.problem(
                    where,
                    f"{value!r} does not fit {path}: {first['msg'][0].lower()}{first['msg'][1:]}",
                )


def data_problems(study: Study, doc: Document) -> Iterator[Problem]:
    """An architecture that does not fit the images or the classes."""
    data, space = study.file.data, study.space
    if data.facts is None:
        return
    for name in ("image_size", "in_channels", "classes"):
        needed = getattr(data.facts, name)
        here: Path = ("architecture", name)
        given = [(getattr(space.architecture, name), here)]
        if name in space.axes:
            choices = space.axes[name].choices or []
            given += [(value, ("axes", name, "choices", i)) for i, value in enumerate(choices)]
        for value, where in given:
            if value != needed:
                message = f"the data set {data.name} has {name} {needed}, but here it is {value}"
                if name == "image_size" and data.name != "digits":
                    message += f"; `data.image_size: {value}` resizes its images"
                yield doc.problem(where, message)


def search_problems(study: Study, doc: Document, space_doc: Document) -> Iterator[Problem]:
    """A sampler that cannot walk this space, and objectives that make no sense."""
    search, space = study.file.search, study.space
    if search.sampler == "grid":
        if search.trials is not None:
            yield doc.problem(
                ("search", "trials"), "a grid has its own number of trials; leave this out"
            )
        for path, axis in space.axes.items():
            if axis.choices is None and not space.is_whole(path):
                message = f"a grid needs `choices` for {path}, whose range has no end of values"
                yield space_doc.problem(("axes", path), message)
    elif search.trials is None:
        message = f"the sampler {search.sampler} needs `trials`, the number of trainings"
        yield doc.problem(("search", "sampler"), message)
    best = {"accuracy": "max", "loss": "min", "params": "min", "macs": "min"}
    for name, direction in study.file.objectives.items():
        if direction != best[name]:
            yield doc.problem(("objectives", name), f"{name} can only be {best[name]}")
    if not {"accuracy", "loss"} & set(study.file.objectives):
        yield doc.problem(
            ("objectives",),
            "one objective must be accuracy or loss: the others are known untrained",
        )


def feasibility_problems(space: Space, doc: Document) -> Iterator[Problem]:
    """Values that no candidate can use, and a budget that no candidate meets.

    A combination that cannot be built is left out; a value that is in no other is a mistake.
    """
    finite = space.size is not None and space.size <= _LOOKED_AT
    rng = random.Random(0)
    points = space.grid() if finite else (space.draw(rng) for _ in range(_LOOKED_AT))
    usable: set[tuple[str, str]] = set()
    broken: dict[tuple[str, str], str] = {}
    closest: tuple[float, Candidate, str] | None = None
    built = fits = False
    for values in itertools.islice(points, _LOOKED_AT):
        keys = [(path, repr(value)) for path, value in values.items()]
        try:
            candidate = space.candidate(values)
        except ValueError as error:
            for key in keys:
                broken.setdefault(key, str(error))
            continue
        built = True
        usable.update(keys)
        reason = space.over_budget(candidate)
        fits = fits or reason is None
        if reason is not None:
            excess = _excess(space, candidate)
            if closest is None or excess < closest[0]:
                closest = (excess, candidate, reason)
    found = False
    for path, axis in space.axes.items():
        for i, value in enumerate(axis.choices or []):
            if (path, repr(value)) in broken and (path, repr(value)) not in usable:
                found = True
                yield doc.problem(("axes", path, "choices", i), broken[path, repr(value)])
    if found:
        return
    if not built:
        yield doc.problem(("axes",), f"no candidate can be built: {next(iter(broken.values()))}")
    elif not fits and closest is not None:
        _, candidate, reason = closest
        yield doc.problem(
            ("budget",),
            f"no candidate meets the budget; the closest has {candidate.cost.params:,} params,"
            f" {candidate.cost.macs:,} macs, {candidate.cost.executions:,} executions ({reason})",
        )


def _excess(space: Space, candidate: Candidate) -> float:
    """By which factor, at the worst, a candidate misses the budget."""
    worst = 1.0
    for name in type(space.budget).model_fields:
        limit, value = getattr(space.budget, name), getattr(candidate.cost, name)
        if limit.max is not None:
            worst = max(worst, value / max(limit.max, 1e-9))
        if limit.min is not None:
            worst = max(worst, limit.min / max(value, 1e-9))
    return worst


def arm_problems(study: Study, doc: Document) -> Iterator[Problem]:
    """Arms that are no axis of the space, and controls that the weights do not allow."""
    arms, controls = study.file.arms, study.file.controls
    if arms is None:
        if "rerun" in controls:
            yield doc.problem(
                ("controls",), "rerun controls need `arms`: the axis of loops and a reference"
            )
        return
    if study.file.search.sampler != "grid":
        yield doc.problem(
            ("arms",), "arms are declared before training: they need the grid sampler"
        )
        return
    axis = study.space.axes.get(arms.axis)
    if axis is None:
        valid = nearest(arms.axis, study.space.axes)
        yield doc.problem(("arms", "axis"), f"the space has no axis {arms.axis}; {valid}")
        return
    others = [
        path
        for path, other in study.space.axes.items()
        if path != arms.axis and arms.axis not in other.when
    ]
    if others:
        message = (
            f"arms compare one axis, but the space also has {', '.join(others)}; an axis may stand"
            f" beside it where it belongs to some of the arms: `when: {{{arms.axis}: [...]}}`"
        )
        yield doc.problem(("arms", "axis"), message)
        return
    if axis.choices is None or arms.reference not in axis.choices:
        valid = ", ".join(map(str, axis.choices or [])) or "the axis needs `choices`"
        yield doc.problem(
            ("arms", "reference"), f"{arms.reference} is not a value of {arms.axis}; {valid}"
        )
        return
    if "rerun" in controls:
        if not arms.axis.endswith(".loops"):
            yield doc.problem(
                ("controls",), f"rerun controls need arms on loops, not on {arms.axis}"
            )
            return
        for candidate in study.grid:
            for other in study.reruns(candidate):
                if candidate.architecture.weights != other.weights:
                    message = (
                        f"weights trained at {arms.axis} = {candidate.values.get(arms.axis)} cannot run as"
                        f" {other.executions} executions: the axis changes the weights themselves"
                    )
                    yield doc.problem(("controls",), message)
                    return
