"""The one way in which the parts of a job check their fields."""

from __future__ import annotations

import re

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def require(holds: bool, message: str) -> None:
    """Raise a ValueError with the rule and the values, where the rule does not hold."""
    if not holds:
        raise ValueError(message)


def require_import_path(path: str) -> None:
    """Raise a ValueError where code of the user's is named in another way than it can be found."""
    formed = _IMPORT_PATH.fullmatch(path) is not None
    require(formed, f"{path!r} is not of the form package.module:name")
