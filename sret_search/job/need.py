"""The one way in which the parts of a job check their fields."""

from __future__ import annotations

# Read by pydantic where a file is checked; the rooms that train do without pydantic.
STRICT = {"extra": "forbid", "strict": True}


def need(holds: bool, message: str) -> None:
    """Raise a ValueError with the rule and the values, where the rule does not hold."""
    if not holds:
        raise ValueError(message)
