"""Contrasts: two values of one axis, over all candidates that differ in nothing else."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sret_search.config.space_file import Axis
from sret_search.config.study_file import Contrast
from sret_search.space.candidate import Values
from sret_search.space.space import Space

_LOOKED_AT = 64
"""Candidates that tell whether an axis changes anything."""


Idle = Mapping[str, set[str]]
"""By the JSON of a contrast's value, the axes of its `within` that make no difference there."""


def inert_axes(
    contrast: Contrast, candidates: Sequence[Values], space: Space
) -> dict[str, set[str]]:
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


def value_text(value: Any) -> str:
    """A value as the file has it."""
    return value if isinstance(value, str) else json.dumps(value)
