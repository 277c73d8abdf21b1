"""Exit codes, the user's errors, the causes behind an error, and the spelling of names in messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

DONE, BUG, INPUT, STOPPED = 0, 1, 2, 3
"""Exit codes: done; a trial or this program failed; the user must correct a file or an argument;
stopped before the study was complete."""


class InputError(Exception):
    """A user's file or argument, or the state of this machine, cannot be used. The message says
    why."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors behind it, each once. A chain may be a circle."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        yield behind
        behind = behind.__cause__ or behind.__context__


def require(holds: bool, message: str) -> None:
    """Raise a ValueError with a message unless a rule holds."""
    if not holds:
        raise ValueError(message)


def encodable(text: str) -> str:
    """The text with all characters escaped that files and terminals cannot take.

    A byte of a name that is not UTF-8 becomes \\xff, any other half of a character \\ud800.
    """
    return re.sub("[\ud800-\udfff]", _escaped, text)


def one_line(text: str) -> str:
    """The text, `encodable` and on a single line: control characters are escaped too."""
    return re.sub("[\x00-\x1f\x7f-\x9f]", lambda c: f"\\x{ord(c[0]):02x}", encodable(text))


def _escaped(half: re.Match[str]) -> str:
    code = ord(half[0])
    # Python decodes an invalid byte to one of these 128 characters.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def reason(error: Exception) -> str:
    """The message of a library's error, on a single line."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name: str, names: Iterable[str]) -> str:
    """A clause that offers the nearest valid name, or lists all valid names."""
    names = sorted(names)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"valid: {', '.join(names)}" if names else "there are none"
