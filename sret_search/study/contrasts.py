"""Contrasts: two values of one axis, over all candidates that differ in nothing else."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sret_search.errors import nearest
from sret_search.study.candidate import Values
from sret_search.study.document import Document, Path
from sret_search.study.errors import Problem
from sret_search.study.schema import Contrast
from sret_search.study.space import Space
from sret_search.study.space_file import Axis
from sret_search.study.study import Study

_LISTED = 12
"""Values of an axis that a message lists."""
_LOOKED_AT = 64
"""Candidates that tell whether an axis changes anything."""
_GONE_THROUGH = 4096
"""Candidates of a grid in which a pair is looked for before it is run."""


Idle = Mapping[str, set[str]]
"""By the JSON of a contrast's value, the axes of its `within` that make no difference there."""


def idle(contrast: Contrast, candidates: Sequence[Values], space: Space) -> dict[str, set[str]]:
    """Which axes of `within` change nothing that is built with each of the two values: a grid has
    such a candidate once, at one of their values, and it stands for all."""
    found = {}
    for side in (contrast.of, contrast.against) if contrast.within else ():
        known = (values for values in candidates if values.keys() <= space.axes.keys())
        own = [values for values in known if values.get(contrast.axis) == side]
        some = own[:: len(own) // _LOOKED_AT + 1]
        found[json.dumps(side)] = {path for path in contrast.within if _is_idle(path, some, space)}
    return found


def _is_idle(path: str, candidates: Sequence[Values], space: Space) -> bool:
    having = [values for values in candidates if path in values]
    return bool(having) and all(
        len({_built(values | {path: one}, space) for one in space.options(path)}) == 1
        for values in having
    )


def _built(values: Values, space: Space) -> str:
    """The name of what is built; the rule that is broken, where nothing is."""
    try:
        return space.candidate(values).name
    except ValueError as error:
        return str(error)


def takes_part(contrast: Contrast, values: Values, free: Idle = MappingProxyType({})) -> bool:
    """Whether a candidate stands on one of the two sides."""
    side = values.get(contrast.axis)
    if contrast.axis not in values or side not in (contrast.of, contrast.against):
        return False
    anywhere = free.get(json.dumps(side), ())
    return all(
        path in anywhere
        or (path in values and (values[path] == wanted or _among(values[path], wanted)))
        for path, wanted in contrast.within.items()
    )


def pairs(
    contrast: Contrast,
    candidates: Sequence[Values],
    axes: Mapping[str, Axis],
    free: Idle = MappingProxyType({}),
) -> list[tuple[int, int]]:
    """The places of each candidate with the first value, and of one with the second that differs
    from it in nothing else.

    They agree on every axis but the contrast's own, those that follow it, and those that only one
    of the two has, or that change nothing with one of the values, since these belong to the other.
    A candidate may so stand in several pairs.
    """
    dependent = _dependent(contrast.axis, axes)
    anywhere = {below for path in set().union(*free.values()) for below in _dependent(path, axes)}
    of: dict[str, list[int]] = defaultdict(list)
    against: dict[str, list[int]] = defaultdict(list)
    for place, values in enumerate(candidates):
        if takes_part(contrast, values, free):
            rest = {p: value for p, value in values.items() if p not in dependent | anywhere}
            side = of if values[contrast.axis] == contrast.of else against
            side[json.dumps(rest, sort_keys=True)].append(place)
    both = [
        path
        for path in dependent - anywhere
        if axes[path].same_as is None and path != contrast.axis
    ]
    return [
        (first, second)
        for rest, places in of.items()
        for first in places
        for second in against.get(rest, [])
        if all(_agree(candidates[first], candidates[second], path) for path in both)
    ]


def _dependent(axis: str, axes: Mapping[str, Axis]) -> set[str]:
    """The axis, and those that follow it or count under some of its values only. An axis stands
    below those that it depends on."""
    found = {axis}
    for path, other in axes.items():
        if other.same_as in found or found & set(other.when):
            found.add(path)
    return found


def _agree(first: Values, second: Values, path: str) -> bool:
    return path not in first or path not in second or bool(first[path] == second[path])


def _among(value: Any, wanted: Any) -> bool:
    return isinstance(wanted, list) and value in wanted


def contrast_problems(study: Study, doc: Document) -> Iterator[Problem]:
    """Contrasts of what is no axis or no value, that stand twice, or that compare nothing."""
    contrasts = study.file.contrasts
    if contrasts and study.file.search.sampler != "grid":
        message = "contrasts are declared before training: they need the grid sampler"
        yield doc.problem(("contrasts",), message, at_key=True)
        return
    seen: list[tuple[str, str]] = []
    for i, contrast in enumerate(contrasts):
        here: Path = ("contrasts", i)
        wrong = list(_wrong(study, contrast, here, doc))
        yield from wrong
        if wrong:
            continue
        sides = sorted(json.dumps(side) for side in (contrast.of, contrast.against))
        key = contrast.axis, json.dumps([*sides, contrast.within], sort_keys=True)
        if key in seen:
            yield doc.problem(here, "this contrast stands here twice")
        seen.append(key)
        if study.points.number > _GONE_THROUGH:
            continue
        candidates = [one.values for one in study.grid]
        if not pairs(
            contrast, candidates, study.space.axes, idle(contrast, candidates, study.space)
        ):
            message = (
                f"no two candidates differ in nothing but {contrast.axis}, {_text(contrast.of)}"
                f" in one and {_text(contrast.against)} in the other"
            )
            yield doc.problem(here, message)


def _wrong(study: Study, contrast: Contrast, here: Path, doc: Document) -> Iterator[Problem]:
    axes = study.space.axes
    axis = axes.get(contrast.axis)
    if axis is None:
        message = f"the space has no axis {contrast.axis}; {nearest(contrast.axis, axes)}"
        yield doc.problem((*here, "axis"), message)
    elif axis.same_as is not None:
        message = f"{contrast.axis} follows {axis.same_as}: contrast that one"
        yield doc.problem((*here, "axis"), message)
    else:
        for side in ("of", "against"):
            value = getattr(contrast, side)
            if value not in study.space.options(contrast.axis):
                yield doc.problem((*here, side), _no_value(study, contrast.axis, value))
        if contrast.of == contrast.against:
            message = f"{_text(contrast.of)} cannot be held against itself"
            yield doc.problem((*here, "against"), message)
    for path, wanted in contrast.within.items():
        place = (*here, "within", path)
        if path not in axes:
            message = f"the space has no axis {path}; {nearest(path, axes)}"
            yield doc.problem(place, message, at_key=True)
        elif path == contrast.axis:
            message = f"{path} is what is compared: `within` is for the other axes"
            yield doc.problem(place, message, at_key=True)
        elif wanted not in study.space.options(path):
            several = isinstance(wanted, list) and wanted
            for i, value in enumerate(wanted if several else [wanted]):
                if value not in study.space.options(path):
                    at = (*place, i) if several else place
                    yield doc.problem(at, _no_value(study, path, value))


def _no_value(study: Study, path: str, value: Any) -> str:
    options = study.space.options(path)
    message = f"{_text(value)} is not a value of {path}; "
    if len(options) <= _LISTED:
        return message + ", ".join(_text(option) for option in options)
    if study.space.ordered(path) and isinstance(value, int | float):
        return message + f"did you mean {min(options, key=lambda one: abs(one - value))}?"
    return message + nearest(_text(value), map(_text, options))


def _text(value: Any) -> str:
    """A value as the file has it."""
    return value if isinstance(value, str) else json.dumps(value)
