"""Contrasts: pairs of candidates that differ in two values of one axis and in nothing else."""

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
"""Largest number of candidates on which an axis is tested for an effect."""


Idle = Mapping[str, set[str]]
"""Axes of `within` that have no effect, by the JSON of the contrast's value."""


def inert_axes(
    contrast: Contrast, candidates: Sequence[Values], space: Space
) -> dict[str, set[str]]:
    """Axes of `within` that have no effect on the network, for each of the contrast's two values.

    A grid has only one of the candidates that differ in such an axis, at one of its values. This
    candidate represents the others.
    """
    inert = {}
    for side in (contrast.of, contrast.against) if contrast.within else ():
        known = (values for values in candidates if values.keys() <= space.axes.keys())
        on_side = [values for values in known if values.get(contrast.axis) == side]
        sample = on_side[:: len(on_side) // _LOOKED_AT + 1]
        inert[json.dumps(side)] = {
            path for path in contrast.within if _is_idle(path, sample, space)
        }
    return inert


def _is_idle(path: str, candidates: Sequence[Values], space: Space) -> bool:
    having = [values for values in candidates if path in values]
    return bool(having) and all(
        len({_built(values | {path: value}, space) for value in space.options(path)}) == 1
        for values in having
    )


def _built(values: Values, space: Space) -> str:
    """Name of the candidate with these values, or the message of a broken rule."""
    try:
        return space.candidate(values).name
    except ValueError as error:
        return str(error)


def takes_part(contrast: Contrast, values: Values, free: Idle = MappingProxyType({})) -> bool:
    """Whether a candidate belongs to one of the two sides of a contrast.

    Args:
        free: axes without effect, which may have any value.
    """
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
    """Pairs of candidates that differ in nothing but the contrast: indices (first, second), the
    first with the value `of`, the second with `against`.

    Both have equal values on all axes, with these exceptions: the axis of the contrast, axes that
    follow it, axes that only one of the two has, and axes without effect on one side. A candidate
    may therefore be in several pairs.

    Args:
        axes: all axes of the space, by path.
        free: axes without effect, which may have any value.
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
    """The axis, with the axes that follow it or are conditional on it, directly or not.

    In `axes`, each axis is below the axes on which it depends.
    """
    dependent = {axis}
    for path, other in axes.items():
        if other.same_as in dependent or dependent & set(other.when):
            dependent.add(path)
    return dependent


def _agree(first: Values, second: Values, path: str) -> bool:
    return path not in first or path not in second or bool(first[path] == second[path])


def _among(value: Any, wanted: Any) -> bool:
    return isinstance(wanted, list) and value in wanted


def value_text(value: Any) -> str:
    """Value as it is written in a file."""
    return value if isinstance(value, str) else json.dumps(value)
