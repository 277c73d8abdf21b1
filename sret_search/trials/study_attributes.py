"""Attributes of the study in the ledger: stored as JSON, with digests and without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sret_search.study.description import StudyDescription
from sret_search.trials import compatibility
from sret_search.trials.declarations import Declaration
from sret_search.trials.digests import with_digest, without_digest

Name = Literal["study", "declarations", "window"]
"""Names of the attributes in the database."""


@dataclass(frozen=True)
class StudyAttributes:
    """The attributes of a study.

    Attributes:
        description: the study at its last run; None before its first.
        declarations: in the order of the runs. Earlier programs stored none.
        window: number of trials by which the results used for a trial lie behind it; None before
            it is fixed, and in the order "eager".
    """

    description: StudyDescription | None = None
    declarations: tuple[Declaration, ...] = ()
    window: int | None = None

    def stored(self, name: Name) -> Any:
        """The stored form of an attribute."""
        match name:
            case "study":
                assert self.description is not None
                return with_digest(self.description.to_json())
            case "declarations":
                return [_stored_declaration(each) for each in self.declarations]
            case "window":
                return self.window


def read(attributes: Mapping[str, Any], where: str) -> StudyAttributes:
    """Read the attributes from their stored form.

    Args:
        where: the place of the ledger, in words.

    Raises:
        StudyError: another version wrote it.
        ValueError, LookupError, TypeError: it is damaged.
    """
    description = None
    if "study" in attributes:
        stored = attributes["study"]
        compatibility.refuse_other_format(where, StudyDescription(stored))
        description = StudyDescription.from_json(without_digest(json.dumps(stored)))
    return StudyAttributes(
        description,
        tuple(_declaration(each) for each in attributes.get("declarations", [])),
        attributes.get("window"),
    )


def hold_secrets(attributes: Mapping[str, Any]) -> bool:
    """Whether an earlier program has stored a secret."""
    described = [each["description"] for each in attributes.get("declarations", [])]
    described += [attributes["study"]] if "study" in attributes else []
    return any(StudyDescription.from_json(each).plain != each for each in described)


def _stored_declaration(declaration: Declaration) -> dict[str, Any]:
    plain = declaration.to_json()
    return plain | {"description": with_digest(plain["description"], _beside(plain))}


def _declaration(plain: Mapping[str, Any]) -> Declaration:
    description = without_digest(json.dumps(plain["description"]), _beside(plain))
    return Declaration.from_json({**plain, "description": description})


def _beside(plain: Mapping[str, Any]) -> dict[str, str]:
    return {"facts": json.dumps({n: v for n, v in plain.items() if n != "description"})}
