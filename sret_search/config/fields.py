"""Fields of the types of both files, by their paths."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from pydantic import BaseModel

from sret_search.architecture import Architecture
from sret_search.config.yaml_source import KeyPath
from sret_search.job import Recipe


def field_names(model: Any, path: KeyPath) -> list[str]:
    """Names of the fields that a mapping at this path may have."""
    for part in path:
        if isinstance(part, str) and part in _fields(model):
            model = _fields(model)[part]
        for inner in typing.get_args(model):
            if _fields(inner):
                model = inner
    return list(_fields(model))


def field_type(path: str) -> Any:
    """Type of the field at an axis path such as stages.0.width; None without such a field."""
    kind: Any = Architecture
    parts = path.split(".")
    if parts[0] == "recipe":
        kind, parts = Recipe, parts[1:]
    for part in parts:
        if part.isdecimal() or part == "*":
            arguments = typing.get_args(kind)
            kind = arguments[0] if typing.get_origin(kind) is tuple else None
        else:
            kind = _fields(kind).get(part)
        if kind is None:
            return None
    return kind


def entry_type(kind: Any) -> Any:
    """Type of the entries of a field that may be a list; None if it may not."""
    for option in (kind, *typing.get_args(kind)):
        if typing.get_origin(option) is tuple:
            return typing.get_args(option)[0]
    return None


def field_paths(kind: Any = Architecture, prefix: str = "") -> list[str]:
    """All axis paths below a type, with * for the index of a stage."""
    paths = []
    for name, inner in _fields(kind).items():
        here = f"{prefix}{name}"
        paths.append(here)
        if typing.get_origin(inner) is tuple and _fields(typing.get_args(inner)[0]):
            paths += field_paths(typing.get_args(inner)[0], f"{here}.*.")
        elif _fields(inner):
            paths += field_paths(inner, f"{here}.")
    return paths


def _fields(model: Any) -> dict[str, Any]:
    if isinstance(model, types.UnionType | types.GenericAlias) or not isinstance(model, type):
        return {}
    if dataclasses.is_dataclass(model) or issubclass(model, BaseModel):
        return typing.get_type_hints(model)
    return {}
