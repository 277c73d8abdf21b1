"""Check a file against its types; each misfit is a message with line and column."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from sret_search.architecture import Architecture, ArchitectureError
from sret_search.config.addresses import masked_value
from sret_search.config.fields import field_names
from sret_search.config.problems import Problem, StudyError
from sret_search.config.space_file import SpaceFile
from sret_search.config.study_file import StudyFile
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.errors import nearest

Model = TypeVar("Model", StudyFile, SpaceFile, Architecture)


def check(model: type[Model], document: SourceFile) -> Model:
    """Check the data of a file against a model, and return the model.

    Raises:
        StudyError: everything that does not fit, each with its line and column.
    """
    known = field_names(model, ())
    if document.data and not set(document.data) & set(known):
        # The user may have named a wrong file, so the message shows none of its content.
        message = f"no key here belongs in such a file; its keys are {', '.join(sorted(known))}"
        raise StudyError([Problem(message, document.file, 1, 1)])
    try:
        return TypeAdapter(model).validate_json(json.dumps(document.data))
    except ValidationError as error:
        problems: dict[tuple[int | None, int | None], Problem] = {}
        for detail in error.errors():
            problem = _problem(model, document, detail)
            problems.setdefault((problem.line, problem.column), problem)
        raise StudyError(sorted(problems.values(), key=lambda p: (p.line, p.column))) from None


_MESSAGES = {
    "missing": "{key} is needed",
    "missing_argument": "{key} is needed",
    "too_short": "{least} needed",
    "int_type": "a whole number is needed, but got {input}",
    "float_type": "a number is needed, but got {input}",
    "string_type": "a word is needed, but got {input}",
    "bool_type": "true or false is needed, but got {input}",
    "list_type": "a list is needed, but got {input}",
    "tuple_type": "a list is needed, but got {input}",
    "dict_type": "a mapping is needed, but got {input}",
    "model_type": "a mapping is needed, but got {input}",
    "dataclass_type": "a mapping is needed, but got {input}",
    "model_attributes_type": "a mapping is needed, but got {input}",
    "none_required": "only null is possible here, but got {input}",
    "literal_error": "{expected} is needed, but got {input}",
    "greater_than_equal": "at least {ge} is needed, but got {input}",
    "less_than_equal": "at most {le:,} is needed, but got {input}",
    "string_pattern_mismatch": "{input} is not of the form {pattern}",
}


def _problem(model: type[Any], document: SourceFile, detail: ErrorDetails) -> Problem:
    # Parts in brackets are tags of the check, not keys of the file.
    path: KeyPath = tuple(part for part in detail["loc"] if not str(part).startswith("["))
    kind, key, context = detail["type"], str(path[-1]) if path else "", detail.get("ctx", {})
    key = masked_value(key)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        message = f"unknown key {key}; {nearest(key, field_names(model, path[:-1]))}"
        return document.problem(path, message, at_key=True)
    if "[key]" in detail["loc"]:
        return document.problem(
            path, f"unknown {path[-2]} {key!r}; {context['expected']} is needed", at_key=True
        )
    cause = context.get("error")
    if isinstance(cause, ArchitectureError):
        return document.problem((*path, *cause.path), str(cause))
    if isinstance(cause, ValueError):
        return document.problem(path, str(cause))
    values = {"key": key, "input": _written(detail["input"])} | context
    least = context.get("min_length")
    values["least"] = "at least one value is" if least == 1 else f"at least {least} values are"
    message = _MESSAGES[kind].format(**values) if kind in _MESSAGES else detail["msg"]
    return document.problem(path, message)


def _written(value: Any) -> str:
    text = json.dumps(masked_value(value))  # before the cut: half a secret cannot be recognised
    return text if len(text) <= 60 else text[:57] + "..."
