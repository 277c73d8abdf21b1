"""A space: a complete architecture and recipe, and axes that each replace one field of them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
import random
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from sret_search.architecture import Architecture
from sret_search.cost import Cost, cost
from sret_search.job import Recipe, candidate_name, trained_depths
from sret_search.study.schema import Axis, Budget, field_type

Values = dict[str, Any]
"""The values of the active axes, by path."""


@dataclass(frozen=True)
class Candidate:
    """One point of a space, and what it builds."""

    values: Values
    architecture: Architecture
    recipe: Recipe

    @cached_property
    def name(self) -> str:
        """The same for all points that build the same."""
        return candidate_name(self.architecture, self.recipe)

    @cached_property
    def cost(self) -> Cost:
        return cost(self.architecture)


@dataclass(frozen=True)
class Space:
    """Everything that a study may train."""

    architecture: Architecture
    recipe: Recipe
    axes: dict[str, Axis]
    budget: Budget

    @property
    def size(self) -> int | None:
        """Combinations of values before conditions; None where an axis is continuous."""
        sizes = [self._count(path, axis) for path, axis in self.axes.items()]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def template(self) -> dict[str, Any]:
        """The space's own architecture and recipe as plain data, which axes replace fields of."""
        plain: dict[str, Any] = json.loads(self._text)
        return plain

    @cached_property
    def _text(self) -> str:
        recipe = dataclasses.asdict(self.recipe)
        return json.dumps({"architecture": self.architecture.to_dict(), "recipe": recipe})

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """The template, to look at."""
        return self.template()

    def candidate(self, values: Values) -> Candidate:
        """Build a point.

        Raises:
            ValueError: the values break a rule of the architecture or the recipe, or of both.
        """
        plain = self.template()
        for path, value in values.items():
            for *way, last in addresses(path, len(self.architecture.stages)):
                holder: Any = plain
                for part in way:
                    holder = holder[part]
                holder[last] = copy.deepcopy(value)
        architecture = Architecture.from_dict(plain["architecture"])
        recipe = Recipe.from_dict(plain["recipe"])
        trained_depths(architecture, recipe)
        return Candidate(values, architecture, recipe)

    def grid(self) -> Iterator[Values]:
        """Every combination of a finite space, each once, in the order of the file."""
        seen = set()
        options = [self._options(path, axis) for path, axis in self.axes.items()]
        for combination in itertools.product(*options):
            values = self.active(dict(zip(self.axes, combination, strict=True)))
            key = json.dumps(values, sort_keys=True)
            if key not in seen:
                seen.add(key)
                yield values

    def draw(self, rng: random.Random) -> Values:
        """A random point: choices evenly, ranges evenly or evenly in the logarithm."""
        return self.active({path: self._draw(path, axis, rng) for path, axis in self.axes.items()})

    def active(self, values: Values) -> Values:
        """Leave out the axes whose conditions do not hold."""
        kept: Values = {}
        for path in self.axes:
            if self.counts(path, kept):
                kept[path] = values[path]
        return kept

    def counts(self, path: str, above: Values) -> bool:
        """Whether the conditions of an axis hold, given the active axes above it."""
        conditions = self.axes[path].when.items()
        return all(above.get(other, self.default(other)) in wanted for other, wanted in conditions)

    def default(self, path: str) -> Any:
        """The value that the space's own architecture or recipe has at a path.

        Raises:
            LookupError: it has no such place.
        """
        first, *_ = addresses(path, len(self.architecture.stages))
        place: Any = self._plain
        for part in first:
            place = place[part]
        return place

    def over_budget(self, candidate: Candidate) -> str | None:
        """Why a candidate does not fit the budget; None where it does."""
        known = candidate.cost
        for name in type(self.budget).model_fields:
            limit, value = getattr(self.budget, name), getattr(known, name)
            if limit.max is not None and value > limit.max:
                return f"{value:,} {name} are more than {limit.max:,.0f}"
            if limit.min is not None and value < limit.min:
                return f"{value:,} {name} are fewer than {limit.min:,.0f}"
        return None

    def ordered(self, path: str) -> bool:
        """Whether an axis takes numbers only."""
        choices = self.axes[path].choices or []
        return all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)

    def is_whole(self, path: str) -> bool:
        """Whether an axis takes whole numbers only."""
        return _is_whole(path)

    def holds(self, path: str, value: Any) -> bool:
        """Whether a value is one of an axis: among its choices, or within its range."""
        axis = self.axes[path]
        if axis.choices is not None:
            return value in axis.choices
        kinds = (int,) if self.is_whole(path) else (int, float)
        assert axis.low is not None and axis.high is not None
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and bool(axis.low <= value <= axis.high)

    def _count(self, path: str, axis: Axis) -> int | None:
        if axis.choices is None and not self.is_whole(path):
            return None
        return len(self._options(path, axis))

    def _options(self, path: str, axis: Axis) -> list[Any] | range:
        if axis.choices is not None:
            return axis.choices
        assert self.is_whole(path), (
            "a grid over a continuous axis is refused when a study is loaded"
        )
        low, high = axis.low, axis.high
        assert isinstance(low, int) and isinstance(high, int)
        return range(low, high + 1)

    def _draw(self, path: str, axis: Axis, rng: random.Random) -> Any:
        if axis.choices is not None:
            return rng.choice(axis.choices)
        assert axis.low is not None and axis.high is not None
        whole = self.is_whole(path)
        if whole and not axis.log:
            return rng.randint(int(axis.low), int(axis.high))
        # A whole number n stands for the interval from n - 1/2 to n + 1/2.
        low, high = (axis.low - 0.5, axis.high + 0.5) if whole else (axis.low, axis.high)
        if not axis.log:
            return rng.uniform(low, high)
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
        return min(max(round(value), int(axis.low)), int(axis.high)) if whole else value


@cache
def _is_whole(path: str) -> bool:
    kind = field_type(path)
    kinds = typing.get_args(kind) or (kind,)
    return int in kinds and float not in kinds


def addresses(path: str, stages: int) -> list[tuple[str | int, ...]]:
    """The places in {"architecture": …, "recipe": …} that an axis path names; * is each stage."""
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in path.split(".")]
    if parts[0] != "recipe":
        parts = ["architecture", *parts]
    if "*" not in parts:
        return [tuple(parts)]
    star = parts.index("*")
    return [(*parts[:star], stage, *parts[star + 1 :]) for stage in range(stages)]
