"""What is said of a data set that cannot be used."""

from __future__ import annotations


class DataError(Exception):
    """A data set cannot be used: one line that names the file or folder, and what to do."""


def reason(error: Exception) -> str:
    """What a reader complained about, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
