"""A space: a complete architecture and recipe, and axes that each replace a field of them."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import typing
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import compress
from typing import Any

from sret_search.architecture import Architecture
from sret_search.config.fields import field_type
from sret_search.config.space_file import Axis, Budget, Limit
from sret_search.job import Recipe, check_depths, check_length
from sret_search.job.recipe import UNITS
from sret_search.space import distribution
from sret_search.space.assembly import Assembly, addresses, at
from sret_search.space.candidate import COSTS, Candidate, CostContext, Values


@dataclass(frozen=True)
class Space:
    """All candidates that a study may train.

    Attributes:
        architecture, recipe: values of the fields without an active axis.
        axes: axes by path. An axis is below the axes on which it depends.
        budget: bounds on costs.
    """

    architecture: Architecture
    recipe: Recipe
    axes: dict[str, Axis]
    budget: Budget

    @property
    def size(self) -> int | None:
        """Number of combinations of values, without conditions; None if an axis is continuous."""
        sizes = [self.count(path) for path, axis in self.axes.items() if axis.same_as is None]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    @cached_property
    def template(self) -> dict[str, Any]:
        """Architecture and recipe of the space as plain data. Axes replace fields of it."""
        recipe = dataclasses.asdict(self.recipe)
        here = "recipe.depth_training"
        if not any(path.startswith(f"{here}.") for path in self.axes):
            recipe["depth_training"] = self.recipe.depth_training.plain
        if self.recipe.has_default_length and any(
            f"recipe.{unit}" in self.axes and not self.axes[f"recipe.{unit}"].when for unit in UNITS
        ):
            recipe["epochs"] = None  # an axis gives every candidate its length
        plain = {"architecture": self.architecture.to_dict(complete=True), "recipe": recipe}
        as_json: dict[str, Any] = json.loads(json.dumps(plain))
        return as_json

    @cached_property
    def _assembly(self) -> Assembly:
        return Assembly(self.template, list(self.axes))

    def candidate(self, values: Values) -> Candidate:
        """Build a candidate. Values of axes that follow other axes are replaced.

        Raises:
            ValueError: the values break a rule of the architecture or the recipe, or of both.
        """
        return self.build(
            {
                path: value if self.axes[path].same_as is None else self.following(path, values)
                for path, value in values.items()
            }
        )

    def build(self, active: Values) -> Candidate:
        """Build a candidate. Axes that follow other axes must already have the right values.

        Raises:
            ValueError: the values break a rule of the architecture or the recipe, or of both.
        """
        architecture = self._assembly.architecture(active)
        recipe = self._assembly.recipe(active)
        check_depths(architecture, recipe)
        check_length(architecture, recipe)
        return Candidate(active, architecture, recipe)

    def enumerated(self, at_most: int) -> list[Values] | None:
        """All combinations of the values of active axes; the last axis changes fastest.

        The result is None if an axis is continuous, or if there are more than `at_most`
        combinations.
        """
        if any(self.count(path) is None for path in self.axes):
            return None
        points: list[Values] = [{}]
        for path, axis in self.axes.items():
            counts = [self.counts(path, values) for values in points]
            if axis.same_as is not None:
                for values in compress(points, counts):
                    values[path] = self.following(path, values)
                continue
            options = self.options(path)
            if sum(len(options) if holds else 1 for holds in counts) > at_most:
                return None
            points = [
                {**values, path: option} if holds else values
                for values, holds in zip(points, counts, strict=True)
                for option in (options if holds else (None,))
            ]
        return points

    def draw(self, rng: random.Random) -> Values:
        """Draw a random point: uniform over choices, uniform or log-uniform over ranges."""
        return self.active(
            {path: distribution.draw(axis, self.is_whole(path), rng) for path, axis in self._free}
        )

    @cached_property
    def _free(self) -> list[tuple[str, Axis]]:
        """Axes that do not follow another axis."""
        return [(path, axis) for path, axis in self.axes.items() if axis.same_as is None]

    def active(self, values: Values) -> Values:
        """Values without axes whose conditions do not hold, and with axes that follow others."""
        kept: Values = {}
        for path, axis in self.axes.items():
            if self.counts(path, kept):
                kept[path] = values[path] if axis.same_as is None else self.following(path, kept)
        return kept

    def counts(self, path: str, above: Values) -> bool:
        """Whether the conditions of an axis hold, given the values of active axes above it."""
        for other, wanted in self.axes[path].when.items():
            value = above[other] if other in above else self.default(other)
            if value not in wanted:
                return False
        return True

    def following(self, path: str, above: Values) -> Any:
        """Value of an axis that follows another, given the values of active axes above it."""
        axis = self.axes[path]
        assert axis.same_as is not None
        other = axis.same_as
        value = above[other] if other in above else self.default(other)
        return followed(axis, value, self.is_whole(path))

    def default(self, path: str) -> Any:
        """Value of the template at a path; for a path of all stages, that of the first stage.

        Raises:
            LookupError: the place does not exist.
        """
        return self.at(addresses(path, len(self.architecture.stages))[0])

    def at(self, place: tuple[str | int, ...]) -> Any:
        """Value of the template at a place.

        Raises:
            LookupError: the place does not exist.
        """
        return at(self.template, place)

    def over_budget(self, candidate: Candidate, terms: CostContext) -> str | None:
        """Reason why a candidate does not fit the budget; None if its known costs fit."""
        for name, limit in self.limits.items():
            value = candidate.known(name, terms)
            if value is None:
                continue
            shown = f"{COSTS[name].amount(value)} {COSTS[name].unit}"
            if limit.max is not None and value > limit.max:
                return f"{shown} are more than {limit.max:,.0f}"
            if limit.min is not None and value < limit.min:
                return f"{shown} are fewer than {limit.min:,.0f}"
        return None

    @cached_property
    def limits(self) -> dict[str, Limit]:
        """Limits of the budget by names of costs, without empty limits."""
        names = type(self.budget).model_fields
        limits: dict[str, Limit] = {name: getattr(self.budget, name) for name in names}
        return {n: limit for n, limit in limits.items() if (limit.min, limit.max) != (None, None)}

    def ordered(self, path: str) -> bool:
        """Whether an axis takes numbers only."""
        choices = self.axes[path].choices or []
        return all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)

    def is_whole(self, path: str) -> bool:
        """Whether an axis takes whole numbers only."""
        return _is_whole(path)

    def holds(self, path: str, value: Any, above: Values) -> bool:
        """Whether an axis has this value, given the values of active axes above it."""
        axis = self.axes[path]
        if axis.same_as is not None:
            return bool(value == self.following(path, above))
        if axis.choices is not None:
            return value in axis.choices
        kinds = (int,) if self.is_whole(path) else (int, float)
        assert axis.low is not None and axis.high is not None
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and bool(axis.low <= value <= axis.high)

    def count(self, path: str) -> int | None:
        """Number of values of an axis; None if it is continuous."""
        axis = self.axes[path]
        if axis.choices is not None:
            return len(axis.choices)
        assert axis.low is not None and axis.high is not None
        return int(axis.high) - int(axis.low) + 1 if self.is_whole(path) else None

    def options(self, path: str) -> list[Any] | range:
        """Values of an axis that is not continuous."""
        return distribution.options(self.axes[path])

    def value_at(self, path: str, share: float) -> Any:
        """Quantile of an axis: `share`, in [0, 1), of its random draws lie below the value."""
        return distribution.at(self.axes[path], self.is_whole(path), share)


def followed(axis: Axis, value: Any, whole: bool) -> Any:
    """Value of an axis that follows another axis with this value.

    Args:
        whole: whether the field takes whole numbers only. The result is then whole if possible.
    """
    if (axis.times, axis.plus) == (1, 0):
        return value
    result = value * axis.times + axis.plus
    return int(result) if whole and result % 1 == 0 else result


@cache
def _is_whole(path: str) -> bool:
    kind = field_type(path)
    kinds = typing.get_args(kind) or (kind,)
    return int in kinds and float not in kinds
