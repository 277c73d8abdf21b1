"""JSON schemas of the two files, for editors: the types, with the text of their docstrings."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter

from sret_search.architecture import Architecture, Stage
from sret_search.architecture.network import PARTS
from sret_search.architecture.variants import VARIANTS
from sret_search.config import space_file, study_file
from sret_search.config.fields import field_paths
from sret_search.config.space_file import SpaceFile
from sret_search.config.study_file import StudyFile
from sret_search.job import RECIPES, Augment, Data, DepthTraining, Distill, Recipe

_TYPES = (Architecture, Stage, *PARTS.values(), Recipe, DepthTraining, Augment, Distill, Data)


def study_schema() -> dict[str, Any]:
    """The JSON schema of a study file."""
    schema = _described(StudyFile)
    recipe = schema["$defs"]["Recipe"]
    recipe["properties"]["name"] = _named(RECIPES, "A recipe that the other keys change.")
    schema["properties"]["recipe"] = _or_name(schema["properties"]["recipe"], RECIPES)
    return schema


def space_schema() -> dict[str, Any]:
    """The JSON schema of a space file."""
    schema = _described(SpaceFile)
    properties = schema["properties"]
    properties["architecture"] = _or_name(properties["architecture"], VARIANTS)
    paths = [*field_paths(), *(f"recipe.{path}" for path in field_paths(Recipe))]
    names = "|".join(re.escape(path).replace(r"\*", r"(\*|\d+)") for path in paths)
    properties["axes"]["propertyNames"] = {"pattern": rf"^({names})(\.\d+)?$"}
    return schema


def _described(model: Any) -> dict[str, Any]:
    """JSON schema of a model, with its docstrings as descriptions."""
    schema: dict[str, Any] = TypeAdapter(model).json_schema()
    kinds = {
        kind.__name__: kind
        for kind in (*_TYPES, *vars(study_file).values(), *vars(space_file).values())
        if isinstance(kind, type)
    }
    for name, part in ((model.__name__, schema), *schema.get("$defs", {}).items()):
        whole, fields = _docstring(kinds[name].__doc__ or "")
        part["description"] = whole
        for field, text in fields.items():
            if field in part.get("properties", {}):
                part["properties"][field]["description"] = text
        for inner in part.get("properties", {}).values():
            inner.pop("title", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Split a docstring into its first part and the text of each attribute."""
    whole, _, rest = text.partition("Attributes:\n")
    attributes, _, _ = rest.partition("\n    Raises:")
    fields: dict[str, str] = {}
    for names, words in re.findall(r"^ {8}(\w[\w, ]*): (.*(?:\n {12}.*)*)", attributes, re.M):
        for name in names.split(", "):
            fields[name] = _joined(words)
    return _joined(whole.partition("Raises:")[0]), fields


def _joined(text: str) -> str:
    return " ".join(text.split())


def _or_name(inner: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    described = {"description": inner["description"]} if "description" in inner else {}
    plain = {key: value for key, value in inner.items() if key not in ("description", "default")}
    return {"anyOf": [_named(names), plain], **described}


def _named(names: dict[str, Any], description: str | None = None) -> dict[str, Any]:
    described = {} if description is None else {"description": description}
    return {"type": "string", "enum": list(names), **described}
