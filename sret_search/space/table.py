"""Many candidates of a space at once, column by column.

A field of a million candidates has few values. A rule or a cost that reads some fields is
therefore worked out once for each combination of values that occurs, and then looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage, tuples
from sret_search.job import Recipe
from sret_search.space.candidate import Values
from sret_search.space.space import Space, addresses

Codes = NDArray[np.int32]

_PARTS = {"nll": NLL, "residual": Residual, "relax": Relax}


@dataclass(frozen=True, slots=True)
class Column:
    """A field of many candidates: its values, and the place among them of each candidate's."""

    values: Sequence[Any]
    codes: Codes

    def take(self, rows: NDArray[Any]) -> Column:
        """Those of some candidates only, by number or by a mask."""
        return Column(self.values, self.codes[rows])

    @property
    def numbers(self) -> Any:
        """As floats (rows,), which are exact up to 2^53; one plain number, where all are it."""
        if len(self.values) == 1:
            return self.values[0]
        return np.array(self.values, np.float64)[self.codes]


def applied(function: Callable[..., Any], *columns: Column) -> Column:
    """The column of what a function of other columns gives, called once for each combination."""
    if any(not len(column.codes) for column in columns):
        return Column([], np.zeros(0, np.int32))
    moving = [column for column in columns if len(column.values) > 1]
    if not moving:
        codes = columns[0].codes if columns else np.zeros(0, np.int32)
        return Column([function(*(column.values[0] for column in columns))], codes)
    used, codes = combined(moving)
    fixed = [None if len(column.values) > 1 else column.values[0] for column in columns]
    places = [i for i, column in enumerate(columns) if len(column.values) > 1]
    found: dict[Any, int] = {}
    place_of = np.empty(len(used), np.int32)
    for n, combination in enumerate(used.tolist()):
        fields = fixed.copy()
        for place, code, column in zip(places, combination, moving, strict=True):
            fields[place] = column.values[code]
        place_of[n] = found.setdefault(function(*fields), len(found))
    return Column(list(found), place_of[codes])


def combined(columns: Sequence[Column]) -> tuple[NDArray[np.int64], Codes]:
    """The combinations that occur, as places in each column's values (combinations, columns),
    and which of them each candidate has (rows,)."""
    code: NDArray[np.int64] = columns[0].codes.astype(np.int64)
    used = np.arange(len(columns[0].values))[:, None]
    for i, column in enumerate(columns):
        if i == 0:
            present, code = _occurring(code, len(used))
            used = used[present]
            continue
        size = len(column.values)
        present, code = _occurring(code * size + column.codes, len(used) * size)
        used = np.column_stack([used[present // size], present % size])
    return used, code.astype(np.int32)


def _occurring(codes: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the numbers below `size` occur, and each as its place among these."""
    if size > 4 * len(codes) + 1000:
        present, places = np.unique(codes, return_inverse=True)
        return present, places
    occurs = np.zeros(size, bool)
    occurs[codes] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[codes]


@dataclass(frozen=True)
class Table:
    """Candidates by the places of their values among each axis's: one beyond the last where the
    axis does not count."""

    space: Space
    columns: dict[str, Column]
    rows: int

    @classmethod
    def whole(cls, space: Space, at_most: int) -> Table | None:
        """Every combination of a finite space, in the order of the file; None where there are
        more than so many."""
        if any(space.count(path) is None for path in space.axes):
            return None
        codes: dict[str, Codes] = {}
        rows, table = 1, cls(space, {}, 1)
        for path, axis in space.axes.items():
            counts = table.counting(path)
            if axis.same_as is not None:
                table = cls(space, table.columns | {path: table.following(path, counts)}, rows)
                continue
            size = space.count(path)
            assert size is not None
            more = np.where(counts, size, 1)
            rows = int(more.sum(dtype=np.float64))
            if rows > at_most:
                return None
            from_row = np.repeat(np.arange(table.rows, dtype=np.int32), more)
            first = np.cumsum(more) - more
            codes = {p: column.codes[from_row] for p, column in table.columns.items()}
            own = (np.arange(rows) - first[from_row]).astype(np.int32)
            own[~counts[from_row]] = size
            columns = {p: Column(table.columns[p].values, codes[p]) for p in codes}
            values = [*space.options(path), None]
            table = cls(space, columns | {path: Column(values, own)}, rows)
        return table

    @classmethod
    def of(cls, space: Space, points: Sequence[Values]) -> Table:
        """So many points, one a row."""
        columns = {}
        for path, axis in space.axes.items():
            values: list[Any] = list(axis.choices or [])
            place = {_key(value): i for i, value in enumerate(values)}
            codes = np.empty(len(points), np.int32)
            for row, point in enumerate(points):
                codes[row] = (
                    place.setdefault(_key(point[path]), len(place)) if path in point else -1
                )
                if len(place) > len(values):
                    values.append(point[path])
            codes[codes < 0] = len(values)
            columns[path] = Column([*values, None], codes)
        return cls(space, columns, len(points))

    def values(self, row: int) -> Values:
        """The values of the active axes of a row."""
        found = {path: (column.values, column.codes[row]) for path, column in self.columns.items()}
        return {path: v[code] for path, (v, code) in found.items() if code < len(v) - 1}

    def counting(self, path: str) -> NDArray[np.bool_]:
        """The rows in which the conditions of an axis hold."""
        holds = np.ones(self.rows, bool)
        for other, wanted in self.space.axes[path].when.items():
            *values, _ = self.columns[other].values
            values.append(self.space.default(other))
            holds &= np.array([value in wanted for value in values])[self.columns[other].codes]
        return holds

    def following(self, path: str, counts: NDArray[np.bool_]) -> Column:
        """The column of an axis that follows another, where it counts."""
        other = self.space.axes[path].same_as
        assert other is not None
        *values, _ = self.columns[other].values
        found = [self.space.following(path, {other: value}) for value in values]
        found.append(self.space.following(path, {}))
        codes = np.where(counts, self.columns[other].codes, len(found)).astype(np.int32)
        return Column([*found, None], codes)

    def constant(self, value: Any) -> Column:
        """A column that is the same everywhere."""
        return Column([value], np.broadcast_to(np.int32(0), (self.rows,)))

    def field(self, *place: str | int, build: Callable[[Any], Any] = tuples) -> Column:
        """What `build` makes of what the architecture or recipe has at a place, of which axes may
        replace the whole or some of what lies in it."""
        base = self.space.at(place)
        stages = len(self.space.architecture.stages)
        touching = [
            (where[len(place) :], column)
            for path, column in self.columns.items()
            for where in addresses(path, stages)
            if where[: len(place)] == place
        ]
        if not touching:
            return self.constant(build(base))

        def built(*codes: int) -> Any:
            found = base
            for (inner, column), code in zip(touching, codes, strict=True):
                if code < len(column.values) - 1:
                    found = _with(found, inner, column.values[code])
            return build(found)

        return applied(built, *(Column(range(len(c.values)), c.codes) for _, c in touching))

    def architecture(self) -> Any:
        """An architecture whose fields are columns."""
        stages = [
            SimpleNamespace(
                **{name: self.field("architecture", "stages", i, name) for name in _names(Stage)}
            )
            for i in range(len(self.space.architecture.stages))
        ]
        found = SimpleNamespace(stages=stages)
        for name in _names(Architecture):
            kind = _PARTS.get(name)
            if kind is not None:
                part = self.field("architecture", name, build=partial(_part, kind))
                inner = {n: applied(attrgetter(n), part) for n in _names(kind)}
                setattr(found, name, SimpleNamespace(**inner))
            elif name != "stages":
                setattr(found, name, self.field("architecture", name))
        return found

    def recipe(self) -> Column:
        """The recipes; None where a rule forbids one."""
        return self.field("recipe", build=_recipe)


def _names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]


def _part(kind: Any, plain: dict[str, Any]) -> Any:
    return kind(**plain)


def _recipe(plain: dict[str, Any]) -> Recipe | None:
    try:
        return Recipe.from_dict(plain)
    except ValueError:
        return None


def _key(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else repr(value)


def _with(whole: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """A mapping or list with another value at a place in it."""
    if not place:
        return value
    first, *rest = place
    copy: Any = dict(whole) if isinstance(whole, dict) else list(whole)
    copy[first] = _with(copy[first], tuple(rest), value)
    return copy
