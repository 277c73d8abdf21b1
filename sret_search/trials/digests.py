"""Digests of what a ledger was told, beside it, so that damage to its database is noticed.

What an earlier program stored has none, and is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_NAME = "digest"
_START = f'{{"{_NAME}": "'
_DIGITS = 64
_BEGUN = ("values", "facts", "job", "notes", "declared")
_LATER = ("rungs", "until", "failures", "retried")


class DamagedError(ValueError):
    """What is read is not what was written."""


def with_digest(
    plain: Mapping[str, Any], beside: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Plain data that has its own digest.

    Args:
        beside: texts that the digest is of too, by name; those of a trial, for its outcome.
    """
    rest = {name: value for name, value in plain.items() if name != _NAME}
    return {_NAME: _digest(json.dumps(rest), beside or {}), **rest}


def without_digest(text: str, beside: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The plain data in a JSON text.

    Raises:
        DamagedError: it is not what its digest was made of, or no mapping.
        ValueError: it is no JSON.
    """
    if text.startswith(_START):
        digest, rest = text[len(_START) :][:_DIGITS], "{" + text[len(_START) + _DIGITS + 3 :]
        if digest != _digest(rest, beside or {}):
            raise DamagedError("its digest differs")
        text = rest
    found = json.loads(text)
    if not isinstance(found, dict):
        raise DamagedError(f"a mapping is needed, but it is {text[:20]}")
    return found


def begun(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a trial that begins, with the digest of it."""
    texts = {name: json.dumps(value) for name, value in attributes.items()}
    return {**attributes, _NAME: _digest("", texts, later=())}


def check_begun(texts: Mapping[str, str]) -> None:
    """See that a trial is as it began.

    Raises:
        DamagedError: it is not.
    """
    if _NAME in texts and json.loads(texts[_NAME]) != _digest("", texts, later=()):
        raise DamagedError("its digest differs")


def _digest(text: str, beside: Mapping[str, str], later: tuple[str, ...] = _LATER) -> str:
    named = [beside.get(name, "") for name in (*_BEGUN, *later)]
    return hashlib.sha256("\0".join([text, *named]).encode()).hexdigest()
