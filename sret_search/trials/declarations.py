"""Declarations of a study: its description at each run, and the number of trials ended by then.

Test accuracy may be reported for comparisons that were declared before any result was known. The
present study file does not show this. So the ledger stores each description of the study, with the
number of trials that had ended when it came into force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sret_search.study.description import StudyDescription

_DECLARED = (
    "data", "recipe", "objectives", "latency", "search", "arms", "branches", "contrasts", "controls",
    "rerun", "confirm", "scheduler", "axes", "budget", "architecture",
)  # fmt: skip
"""Parts of a description whose change makes another declaration. The places where trials run and
are stored are not among them."""


@dataclass(frozen=True)
class Declaration:
    """A description of the study, from the run that introduced it.

    Attributes:
        description: the study as the run found it.
        file: SHA-256 of the texts of the study file and the space file.
        begun, ended: numbers of trials in the ledger when it came into force; None if an earlier
            program ran the study, which did not store them.
    """

    description: StudyDescription
    file: str
    begun: int | None
    ended: int | None

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Declaration:
        """Read a declaration, with *** for each secret.

        Raises:
            LookupError, TypeError: it is damaged.
        """
        parts = {**plain, "description": StudyDescription.from_json(plain["description"])}
        return cls(**parts)

    def to_json(self) -> dict[str, Any]:
        """The declaration as the ledger stores it."""
        return {
            "description": self.description.to_json(),
            "file": self.file,
            "begun": self.begun,
            "ended": self.ended,
        }

    @property
    def is_before_results(self) -> bool:
        """Whether it came into force before any trial had ended. Unknown, from earlier programs,
        counts as true."""
        return not self.ended

    def declares(self, description: StudyDescription) -> bool:
        """Whether a description declares the same."""
        # Declarations of earlier programs lack the architecture.
        before = self.description
        return all(
            before.part(name) == description.part(name)
            for name in _DECLARED
            if name in before.plain
        )


def next_declarations(
    known: Sequence[Declaration],
    before: StudyDescription | None,
    now: StudyDescription,
    begun: int,
    ended: int,
) -> list[Declaration]:
    """The declarations, with that of a new run if it differs from the last.

    Args:
        before: the description of the last run; None for a new ledger.
        now: the description of the new run.
        begun, ended: numbers of trials in the ledger.
    """
    declarations = list(known)
    if not declarations and begun and before is not None:
        declarations.append(Declaration(before, _hash(before), None, None))
    if not declarations or not declarations[-1].declares(now):
        declarations.append(Declaration(now, _hash(now), begun, ended))
    return declarations


def _hash(description: StudyDescription) -> str:
    texts = [description.text, description.space_text]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
