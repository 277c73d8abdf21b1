"""Problems of a user's input, as lines of text for the user."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sret_search.config.addresses import masked
from sret_search.errors import InputError, encodable, one_line


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a file, as a line of text without passwords.

    Attributes:
        message: the text.
        file: the file, if there is one.
        line, column: the place in the file, counted from 1.
    """

    message: str
    file: Path | None = None
    line: int | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", encodable(masked(self.message)))

    def __str__(self) -> str:
        if self.file is None:
            return self.message
        place = shown(self.file)
        if self.line is not None:
            place += f":{self.line}:{self.column}"
        return f"{masked(place)}: {self.message}"


class StudyError(InputError):
    """The user's input cannot be run. The error has all problems of the input."""

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem(problems)]
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def shown(path: Path) -> str:
    """A path as a user would write it here, in one line."""
    return one_line(_from_here(path))


def typed(path: Path) -> str:
    """A path as a word of a shell command."""
    text = _from_here(path)
    text = f"./{text}" if text.startswith(("-", "~")) else text
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_typed, text)) + "'"


def _typed(c: str) -> str:
    if c.isprintable() and c not in "'\\":
        return c
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))


def _from_here(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
