"""Attributes of the study in the ledger: plain data, with digests and without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sret_search.trials import compatibility
from sret_search.trials.declarations import Declaration
from sret_search.trials.digests import with_digest, without_digest


def stored(name: str, value: Any) -> Any:
    """The stored form of an attribute."""
    if name == "declarations":
        return [_stored_declaration(each) for each in value]
    return with_digest(value) if isinstance(value, Mapping) else value


def read(attributes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Read the attributes from their stored form.

    Args:
        where: the place of the ledger, in words.

    Raises:
        StudyError: another version wrote it.
        ValueError, LookupError, TypeError: it is damaged.
    """
    values = dict(attributes)
    if "study" in values:
        compatibility.refuse_other_format(where, values["study"])
        values["study"] = compatibility.without_secrets(without_digest(json.dumps(values["study"])))
    if "declarations" in values:
        values["declarations"] = [_declaration(each) for each in values["declarations"]]
    return values


def hold_secrets(attributes: Mapping[str, Any]) -> bool:
    """Whether an earlier program has stored a secret."""
    described = [each["description"] for each in attributes.get("declarations", [])]
    described += [attributes["study"]] if "study" in attributes else []
    return any(compatibility.without_secrets(each) != each for each in described)


def _stored_declaration(plain: dict[str, Any]) -> dict[str, Any]:
    return plain | {"description": with_digest(plain["description"], _beside(plain))}


def _declaration(plain: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(plain["description"])
    description = compatibility.without_secrets(without_digest(text, _beside(plain)))
    return vars(Declaration(**plain | {"description": description}))


def _beside(plain: Mapping[str, Any]) -> dict[str, str]:
    return {"facts": json.dumps({n: v for n, v in plain.items() if n != "description"})}
