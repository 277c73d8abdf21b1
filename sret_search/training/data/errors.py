"""What is said of a data set that cannot be used."""

from __future__ import annotations

from sret_search.errors import one_line


class DataError(Exception):
    """A data set cannot be used: one line that names the file or folder, and what to do.

    Attributes:
        key: of a study's `data`, what is to be mended there, where it is not the files.
    """

    def __init__(self, message: str, key: str = "name") -> None:
        super().__init__(one_line(message))
        self.key = key


def reason(error: Exception) -> str:
    """What a reader complained about, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
