"""The declarations of a study: what it asked for, run after run, and how much was known by then.

Test accuracy may be shown of what was declared before any result was known. The study file of
today cannot tell that: so the ledger keeps each description of the study, with the number of
trials that had ended when it came into force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_DECLARED = (
    "data", "recipe", "objectives", "latency", "search", "arms", "branches", "contrasts", "controls",
    "confirm", "scheduler", "axes", "budget", "architecture",
)  # fmt: skip
"""Parts of a description whose change is another declaration. Where trials run and where they are
kept is none."""


@dataclass(frozen=True)
class Declaration:
    """A description of the study as one run had it.

    Attributes:
        description: as `edits.describe` makes it.
        file: SHA-256 of the texts of the study file and the space file.
        begun, ended: trials of the ledger when it came into force; None where an earlier program
            ran the study, which did not store them.
    """

    description: dict[str, Any]
    file: str
    begun: int | None
    ended: int | None

    @property
    def is_before_results(self) -> bool:
        """Whether it came into force before any trial had ended. Of earlier programs that is not
        known, and taken as true."""
        return not self.ended

    def declares(self, description: dict[str, Any]) -> bool:
        """Whether a description declares the same."""
        # That of an earlier program lacks the architecture.
        return all(
            self.description[name] == description.get(name)
            for name in _DECLARED
            if name in self.description
        )


def next_declarations(
    known: Sequence[Declaration],
    before: dict[str, Any] | None,
    now: dict[str, Any],
    begun: int,
    ended: int,
) -> list[Declaration]:
    """The declarations with that of a new run, which is added if it declares anything else.

    Args:
        before: the description of the last run; None of a new ledger.
        begun, ended: trials of the ledger.
    """
    found = list(known)
    if not found and begun and before is not None:
        found.append(Declaration(before, _hash(before), None, None))
    if not found or not found[-1].declares(now):
        found.append(Declaration(now, _hash(now), begun, ended))
    return found


def _hash(description: dict[str, Any]) -> str:
    texts = [description.get("text"), description.get("space_text")]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
