"""Check of the axes of a space, and conversion to choices and ranges.

In a file, an axis has choices, a range, divisors or lists of entries, or follows another axis.
All other code reads axes with choices or a range. An axis that follows another axis also keeps
the name of that axis in `same_as`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sret_search.architecture import ArchitectureError, Stage
from sret_search.architecture.parts import sides
from sret_search.config.fields import entry_type, field_paths, field_type
from sret_search.config.problems import Problem
from sret_search.config.space_file import Axis
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.errors import nearest
from sret_search.job import Recipe
from sret_search.space.assembly import addresses, replaced
from sret_search.space.space import Space, followed

MOST = 10_000
"""Largest number of values into which an axis is expanded."""


class _AxisError(Exception):
    """A problem of an axis, at one of its keys."""

    def __init__(self, message: str, *key: str | int) -> None:
        super().__init__(message)
        self.key = key


def read(space: Space, doc: SourceFile) -> tuple[Space, list[Problem]]:
    """Convert all axes of a space to choices and ranges. Returns the space and its problems."""
    stages = len(space.architecture.stages)
    written: dict[tuple[str | int, ...], str] = {}
    problems: list[Problem] = []
    known: dict[str, Axis] = {}
    for path, axis in space.axes.items():
        here = ("axes", path)
        kind = field_type(path)
        missing = _missing_place(path, kind, space)
        if missing is not None:
            message = f"axis {path} is no field of an architecture or recipe; {missing}"
            problems.append(doc.problem(here, message, at_key=True))
            continue
        for place in addresses(path, stages):
            if place in written:
                message = f"axis {path} replaces the same field as {written[place]}"
                problems.append(doc.problem(here, message, at_key=True))
                break
            written[place] = path
        for other in axis.when:
            if other not in known:
                message = f"{other} must be an axis that stands above {path}"
                problems.append(doc.problem((*here, "when", other), message, at_key=True))
        # A problem of this axis must not cause problems of the axes that refer to it.
        known[path] = axis
        try:
            _check_kind(path, axis, kind)
            known[path] = _values(path, axis, replace(space, axes=known))
        except _AxisError as error:
            problems.append(doc.problem((*here, *error.key), str(error)))
            continue
        problems += _type_problems(path, axis, known[path], kind, doc)
    return replace(space, axes=known), problems


def _missing_place(path: str, kind: Any, space: Space) -> str | None:
    """Hint to a valid path, for an axis path without a field; None if the field exists."""
    shape = ".".join("*" if part.isdecimal() else part for part in path.split("."))
    if kind is None or "*" in path.removeprefix("stages.*"):
        valid = [*field_paths(), *(f"recipe.{name}" for name in field_paths(Recipe))]
        return nearest(shape, valid)
    if Stage in (kind, entry_type(kind)):
        return "a whole stage is none: name a field of it, such as stages.0.width"
    try:
        for place in addresses(path, len(space.architecture.stages)):
            space.at(place)
    except LookupError:
        stages = len(space.architecture.stages)
        return f"the architecture has {stages} stage{'s' if stages > 1 else ''}, counted from 0"
    return None


def _check_kind(path: str, axis: Axis, kind: Any) -> None:
    """Check that an axis has values, of one kind.

    Raises:
        _AxisError: it has none, or keys that exclude each other.
    """
    given = [name for name in ("low", "high") if getattr(axis, name) is not None]
    if axis.same_as is not None:
        others = [
            *given,
            *(n for n in ("choices", "log", "divisors", "entries") if getattr(axis, n)),
        ]
        if others:
            raise _AxisError(
                f"`same_as` stands alone, with `times` and `plus`, not with `{others[0]}`"
            )
        return
    if (axis.times, axis.plus) != (1, 0):
        raise _AxisError("`times` and `plus` belong to `same_as: another axis`")
    if axis.choices is not None:
        if given or axis.log or axis.divisors:
            raise _AxisError("`choices` stand alone, without `low`, `high`, `log` or `divisors`")
    elif axis.divisors is not None:
        if not _is_groups(path) or axis.log:
            raise _AxisError(
                "`divisors: tokens` are for the slice groups of a stage, with `low` and `high`"
                f" where these are to be bounded, not for {path}"
            )
        if axis.entries is None and entry_type(kind) is not None:
            raise _AxisError(f"{path} is a list: `entries: 1` makes one of one divisor")
    elif len(given) < 2:
        raise _AxisError(
            f"axis {path} is empty: give `choices`, or `low` and `high`, or `divisors: tokens`,"
            " or `same_as: another axis`"
        )
    if len(given) == 2:
        assert axis.low is not None and axis.high is not None
        if axis.low > axis.high:
            raise _AxisError(f"`low <= high` must hold, but got {axis.low} and {axis.high}")
        if axis.log and axis.low <= 0:
            raise _AxisError(f"a logarithmic axis needs `low > 0`, but got {axis.low}", "low")
    if axis.entries is not None:
        if entry_type(kind) is None:
            raise _AxisError(f"`entries` make a list, but {path} is a single value", "entries")
        if axis.log or any(not isinstance(b, int) for b in (axis.low, axis.high) if b is not None):
            raise _AxisError("`entries` are drawn from `choices`, whole numbers or divisors")


def _values(path: str, axis: Axis, space: Space) -> Axis:
    """Axis with all of its values as choices, or as a range.

    Raises:
        _AxisError: it has too many values, or none.
    """
    if axis.same_as is not None:
        return _followed(path, axis, space)
    values: Sequence[Any] | None = axis.choices
    if axis.divisors is not None:
        values = _divisors(path, axis, space)
    if axis.entries is None:
        return axis if axis.divisors is None else Axis(choices=list(values or ()), when=axis.when)
    if values is None:
        assert isinstance(axis.low, int) and isinstance(axis.high, int)
        values = range(axis.low, axis.high + 1)
    count = len(values)
    if count > 1 and axis.entries * math.log(count) > math.log(MOST) + 1e-9:
        message = f"{count:,}^{axis.entries} lists are more than {MOST:,} values of one axis"
        raise _AxisError(message, "entries")
    if axis.entries > MOST:
        raise _AxisError(f"a list of {axis.entries:,} entries is too long", "entries")
    lists = [list(entries) for entries in itertools.product(values, repeat=axis.entries)]
    return Axis(choices=lists, when=axis.when)


def _divisors(path: str, axis: Axis, space: Space) -> list[int]:
    low, high = axis.low or 1, axis.high or math.inf
    tokens = _tokens(path, space)
    divisors = sorted({d for n in tokens for d in _of(n) if low <= d <= high})
    if not divisors:
        counts = " or ".join(f"{n:,}" for n in sorted(tokens)[:4])
        raise _AxisError(f"no divisor of {counts} tokens lies from {low} to {high}")
    return divisors


def _tokens(path: str, space: Space) -> set[int]:
    """Possible numbers of tokens of the stages that an axis names.

    Raises:
        _AxisError: the axes on which they depend have too many values.
    """
    options: dict[str, list[Any]] = {}
    for other, axis in space.axes.items():
        if other.split(".")[0] not in ("image_size", "stem_strides"):
            continue
        if axis.choices is None:
            if axis.low is None or axis.high is None or axis.high - axis.low >= MOST:
                raise _AxisError(f"{other} has too many values for divisors of the tokens")
            options[other] = list(range(int(axis.low), int(axis.high) + 1))
        else:
            options[other] = list(axis.choices)
        if axis.when:
            options[other].append(space.default(other))
    if math.prod(len(values) for values in options.values()) > MOST:
        raise _AxisError(f"{' and '.join(options)} have too many values for divisors of the tokens")
    stages = len(space.architecture.stages)
    which = [int(place[2]) for place in addresses(path, stages)]
    tokens = set()
    for combination in itertools.product(*options.values()):
        plain: Any = space.template
        for path, value in zip(options, combination, strict=True):
            plain = replaced(plain, addresses(path, stages)[0], value)
        size = plain["architecture"]["image_size"]
        strides = plain["architecture"]["stem_strides"]
        if size > 0 and strides and all(isinstance(s, int) and s > 0 for s in strides):
            of = sides(size, tuple(strides), stages)
            tokens |= {of[stage] ** 2 for stage in which}
    return tokens


def _of(square: int) -> Iterator[int]:
    """Divisors of a square number, in pairs with a smaller factor of at most `MOST`."""
    for low in range(1, min(math.isqrt(square), MOST) + 1):
        if square % low == 0:
            yield low
            yield square // low


def _followed(path: str, axis: Axis, space: Space) -> Axis:
    """Axis with the values that follow from those of its `same_as`.

    Raises:
        _AxisError: it can follow no such axis, or the values do not fit.
    """
    assert axis.same_as is not None
    other = space.axes.get(axis.same_as)
    if other is None or axis.same_as == path:
        raise _AxisError(f"{axis.same_as} must be an axis that stands above {path}", "same_as")
    whole = space.is_whole(path)
    if other.choices is None and (other.low is None or other.high is None):
        raise _AxisError(f"{axis.same_as} has no values", "same_as")
    left = [space.default(axis.same_as)] if other.when else []
    if other.choices is not None:
        values = [_following(path, axis, value, whole) for value in (*other.choices, *left)]
        choices = [v for i, v in enumerate(values) if v not in values[:i]]
        return axis.model_copy(update={"choices": choices})
    if whole and not (space.is_whole(axis.same_as) and axis.times % 1 == axis.plus % 1 == 0):
        raise _AxisError(
            f"{path} takes whole numbers, which not all values of {axis.same_as} give", "same_as"
        )
    ends = [_following(path, axis, end, whole) for end in (other.low, other.high, *left)]
    return axis.model_copy(update={"low": min(ends), "high": max(ends)})


def _following(path: str, axis: Axis, value: Any, whole: bool) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and (axis.times, axis.plus) != (1, 0):
        raise _AxisError(f"`times` and `plus` are for numbers, but {axis.same_as} can be {value}")
    result = followed(axis, value, whole)
    if number and whole and not isinstance(result, int):
        raise _AxisError(
            f"{path} takes whole numbers, but {value} of {axis.same_as} gives {result:g}", "same_as"
        )
    return result


def _type_problems(
    path: str, axis: Axis, known: Axis, kind: Any, doc: SourceFile
) -> Iterator[Problem]:
    """Find repeated values, and values that the field cannot have."""
    here: KeyPath = ("axes", path)
    seen = set()
    for i, value in enumerate(axis.choices or []):
        text = json.dumps(value, sort_keys=True)
        if text in seen:
            yield doc.problem((*here, "choices", i), f"{value} stands here twice")
        seen.add(text)
    if axis.same_as is not None:
        ends = known.choices if known.choices is not None else [known.low, known.high]
        values = [(value, (*here, "same_as")) for value in ends]
    elif axis.divisors is not None:
        return
    elif axis.choices is not None:
        values = [(value, (*here, "choices", i)) for i, value in enumerate(axis.choices)]
    else:
        values = [(axis.low, (*here, "low")), (axis.high, (*here, "high"))]
    adapter = TypeAdapter(kind if axis.entries is None else entry_type(kind))
    for value, where in values:
        try:
            adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            if not isinstance(first.get("ctx", {}).get("error"), ArchitectureError):
                reason = f"{first['msg'][0].lower()}{first['msg'][1:]}"
                yield doc.problem(where, f"{value!r} does not fit {path}: {reason}")


def _is_groups(path: str) -> bool:
    parts = path.split(".")
    return parts[0] == "stages" and parts[2:3] == ["groups"]
