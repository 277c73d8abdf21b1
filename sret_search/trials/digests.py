"""Digests of the ledger's data, stored beside them, which reveal damage to the database.

Data of earlier programs may have no digest. They are read without a check.
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
    """The data differ from those that were written."""


def with_digest(
    plain: Mapping[str, Any], beside: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Plain data with their digest.

    Args:
        beside: further texts that the digest covers, by name: for an outcome, those of its trial.
    """
    rest = {name: value for name, value in plain.items() if name != _NAME}
    return {_NAME: _digest(json.dumps(rest), beside or {}), **rest}


def without_digest(text: str, beside: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read plain data from a JSON text and check their digest.

    Raises:
        DamagedError: the digest differs, or the data are no mapping.
        ValueError: the text is no JSON.
    """
    if text.startswith(_START):
        digest, rest = text[len(_START) :][:_DIGITS], "{" + text[len(_START) + _DIGITS + 3 :]
        if digest != _digest(rest, beside or {}):
            raise DamagedError("its digest differs")
        text = rest
    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise DamagedError(f"a mapping is needed, but it is {text[:20]}")
    return plain


def begun(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a trial that begins, with their digest."""
    texts = {name: json.dumps(value) for name, value in attributes.items()}
    return {**attributes, _NAME: _digest("", texts, later=())}


def check_begun(texts: Mapping[str, str]) -> None:
    """Check the digest of the attributes with which a trial began.

    Raises:
        DamagedError: it differs.
    """
    if _NAME in texts and json.loads(texts[_NAME]) != _digest("", texts, later=()):
        raise DamagedError("its digest differs")


def _digest(text: str, beside: Mapping[str, str], later: tuple[str, ...] = _LATER) -> str:
    named = [beside.get(name, "") for name in (*_BEGUN, *later)]
    return hashlib.sha256("\0".join([text, *named]).encode()).hexdigest()
