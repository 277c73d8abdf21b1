"""Errors of data sets that cannot be used."""

from __future__ import annotations

from sret_search.errors import one_line


class DataError(Exception):
    """A data set cannot be used. The message is a line that names the file or folder and the
    remedy.

    Attributes:
        key: the key of a study's `data` to correct, unless the fault is in the files.
    """

    def __init__(self, message: str, key: str = "name") -> None:
        super().__init__(one_line(message))
        self.key = key
