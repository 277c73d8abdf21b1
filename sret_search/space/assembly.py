"""Candidates of a space, put together from parts.

A part is a stage, another field of the architecture, or the recipe. Candidates share most of
theirs, so that each part is built once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage, tuples
from sret_search.architecture.parts import CACHED
from sret_search.job import Recipe

Place = tuple[str | int, ...]

_KINDS = {"nll": NLL, "residual": Residual, "relax": Relax}
_ABSENT = object()
"""In place of the value of an axis that does not count."""


class Assembly:
    """Builds architectures and recipes from the template of a space and the values of its axes."""

    def __init__(self, template: Mapping[str, Any], axes: list[str]) -> None:
        """
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
        """The architecture with the values of active axes.

        Raises:
            ArchitectureError: they break a rule.
        """
        return Architecture(
            stages=tuple(stage.of(values) for stage in self._stages),
            **{name: part.of(values) for name, part in self._fields.items()},
        )

    def recipe(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with the values of active axes.

        Raises:
            ValueError: they break a rule.
        """
        recipe: Recipe = self._recipe.of(values)
        return recipe


@dataclass
class _Part:
    """A part of the template, and the axes that replace all or some of it: paths, and places
    within the part."""

    template: Any
    axes: list[tuple[str, Place]]
    build: Callable[[Any], Any]
    known: dict[Any, Any] = field(default_factory=dict)

    def of(self, values: Mapping[str, Any]) -> Any:
        """The part with the values of active axes."""
        key = tuple(as_key(values.get(path, _ABSENT)) for path, _ in self.axes)
        if key not in self.known:
            plain = self.template
            for path, place in self.axes:
                if path in values:
                    plain = replaced(plain, place, values[path])
            built = self.build(plain)
            if len(self.known) >= CACHED:  # of an axis without end of values
                self.known.clear()
            self.known[key] = built
        return self.known[key]


def as_key(value: Any) -> Any:
    """The value of an axis as a key of a mapping."""
    return repr(value) if isinstance(value, list | dict) else value


def addresses(path: str, stages: int) -> list[Place]:
    """The places in {"architecture": …, "recipe": …} that an axis path names; * is each stage."""
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in path.split(".")]
    if parts[0] != "recipe":
        parts = ["architecture", *parts]
    if "*" not in parts:
        return [tuple(parts)]
    star = parts.index("*")
    return [(*parts[:star], stage, *parts[star + 1 :]) for stage in range(stages)]


def at(whole: Any, place: Place) -> Any:
    """The value at a place.

    Raises:
        LookupError: there is no such place.
    """
    for part in place:
        fits = isinstance(whole, dict if isinstance(part, str) else list)
        if not fits:
            raise LookupError(part)
        whole = whole[part]
    return whole


def replaced(whole: Any, place: Place, value: Any) -> Any:
    """A mapping or list with another value at a place in it."""
    if not place:
        return value
    first, *rest = place
    copy: Any = dict(whole) if isinstance(whole, dict) else list(whole)
    if rest:
        # A mapping may leave out what it has a default for.
        inner = copy.get(first, {}) if isinstance(copy, dict) else copy[first]
        value = replaced(inner, tuple(rest), value)
    copy[first] = value
    return copy


def _field(name: str, plain: Any) -> Any:
    return _KINDS[name](**plain) if name in _KINDS else tuples(plain)


def _stage(plain: Mapping[str, Any]) -> Stage:
    return Stage(**{name: tuples(value) for name, value in plain.items()})
