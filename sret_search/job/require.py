"""Checks of fields, shared by all parts of a job."""

from __future__ import annotations

import re

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def require(holds: bool, message: str) -> None:
    """Raise a ValueError with a message unless a rule holds."""
    if not holds:
        raise ValueError(message)


def require_import_path(path: str) -> None:
    """Raise a ValueError unless a text has the form of an import path, package.module:name."""
    formed = _IMPORT_PATH.fullmatch(path) is not None
    require(formed, f"{path!r} is not of the form package.module:name")
