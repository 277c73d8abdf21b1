"""Assembly of the candidates of a space from parts.

A part is a stage, another field of the architecture, or the recipe. Candidates share most of their
parts, so each part is built once and cached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from sret_search.architecture import Architecture, Stage, tuples
from sret_search.architecture.network import PARTS
from sret_search.architecture.parts import CACHED
from sret_search.job import Recipe

Place = tuple[str | int, ...]

_ABSENT = object()
"""Placeholder for the value of an inactive axis."""


class Assembly:
    """Builder of architectures and recipes from the template of a space and the values of axes."""

    def __init__(self, template: Mapping[str, Any], axes: list[str]) -> None:
        """Prepare the parts of a space.

        Args:
            template: `architecture` and `recipe` as plain data.
            axes: paths, in the order in which they replace values.
        """
        stages = len(template["architecture"]["stages"])
        places = [(path, place) for path in axes for place in addresses(path, stages)]

        def part(*place: str | int, build: Callable[[Any], Any]) -> _Part:
            touching = [(p, t[len(place) :]) for p, t in places if t[: len(place)] == place]
            return _Part(at(template, place), touching, build)

        self._fields = {
            f.name: part("architecture", f.name, build=partial(_field, f.name))
            for f in fields(Architecture)
            if f.name != "stages"
        }
        self._stages = [part("architecture", "stages", i, build=_stage) for i in range(stages)]
        self._recipe = part("recipe", build=Recipe.from_dict)

    def architecture(self, values: Mapping[str, Any]) -> Architecture:
        """Build the architecture with the values of active axes.

        Raises:
            ArchitectureError: the values break a rule.
        """
        return Architecture(
            stages=tuple(stage.of(values) for stage in self._stages),
            **{name: part.of(values) for name, part in self._fields.items()},
        )

    def recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Build the recipe with the values of active axes.

        Raises:
            ValueError: the values break a rule.
        """
        recipe: Recipe = self._recipe.of(values)
        return recipe


@dataclass
class _Part:
    """A part of the template, with its cache.

    Attributes:
        template: the part as plain data.
        axes: path of each axis that replaces values in the part, and the place in the part.
        build: makes the part from plain data.
        known: parts that were built, by the values of the axes.
    """

    template: Any
    axes: list[tuple[str, Place]]
    build: Callable[[Any], Any]
    known: dict[Any, Any] = field(default_factory=dict)

    def of(self, values: Mapping[str, Any]) -> Any:
        """Build the part with the values of active axes, or take it from the cache."""
        key = tuple(as_key(values.get(path, _ABSENT)) for path, _ in self.axes)
        if key not in self.known:
            plain = self.template
            for path, place in self.axes:
                if path in values:
                    plain = replaced(plain, place, values[path])
            built = self.build(plain)
            if len(self.known) >= CACHED:  # the values of a continuous axis have no end
                self.known.clear()
            self.known[key] = built
        return self.known[key]


def as_key(value: Any) -> Any:
    """Value of an axis as a hashable key."""
    return repr(value) if isinstance(value, list | dict) else value


def addresses(path: str, stages: int) -> list[Place]:
    """Places in {"architecture": …, "recipe": …} of an axis path. A * names all stages."""
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in path.split(".")]
    if parts[0] != "recipe":
        parts = ["architecture", *parts]
    if "*" not in parts:
        return [tuple(parts)]
    star = parts.index("*")
    return [(*parts[:star], stage, *parts[star + 1 :]) for stage in range(stages)]


def at(whole: Any, place: Place) -> Any:
    """Value at a place.

    Raises:
        LookupError: the place does not exist.
    """
    for part in place:
        fits = isinstance(whole, dict if isinstance(part, str) else list)
        if not fits:
            raise LookupError(part)
        whole = whole[part]
    return whole


def replaced(whole: Any, place: Place, value: Any) -> Any:
    """Copy of a mapping or list with another value at a place.

    Raises:
        LookupError: the place does not exist.
    """
    if not place:
        return value
    first, *rest = place
    if isinstance(whole, str):  # a word that stands for a mapping, such as `depth_training: mixed`
        whole = {"kind": whole}
    copy: Any = dict(whole) if isinstance(whole, dict) else list(whole)
    if rest:
        # A mapping may leave out fields that have a default.
        inner = copy.get(first, {}) if isinstance(copy, dict) else copy[first]
        value = replaced(inner, tuple(rest), value)
    copy[first] = value
    return copy


def _field(name: str, plain: Any) -> Any:
    return PARTS[name](**plain) if name in PARTS else tuples(plain)


def _stage(plain: Mapping[str, Any]) -> Stage:
    return Stage(**{name: tuples(value) for name, value in plain.items()})
