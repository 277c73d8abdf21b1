"""What a user is told: by exit codes, and about a mistyped name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

DONE, BUG, INPUT, STOPPED = 0, 1, 2, 3
"""Exit codes: done; a trial or this program failed; something of the user's to mend; stopped before
the study was complete."""


class InputError(Exception):
    """What the user gave, or what lies on this machine, cannot be used as it is."""


def encodable(text: str) -> str:
    """The text with every character that no file or terminal can take escaped: a byte of a name
    that is not UTF-8 as \\xff, any other half of a character as \\ud800."""
    return re.sub("[\ud800-\udfff]", _escaped, text)


def one_line(text: str) -> str:
    """The text, `encodable`, with what a terminal obeys escaped too: a name may have such."""
    return re.sub("[\x00-\x1f\x7f-\x9f]", lambda c: f"\\x{ord(c[0]):02x}", encodable(text))


def _escaped(half: re.Match[str]) -> str:
    code = ord(half[0])
    # Python reads a byte that it cannot decode as one of these 128.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def nearest(name: str, names: Iterable[str]) -> str:
    """A clause that offers the nearest valid name, or else all of them."""
    names = sorted(names)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"valid: {', '.join(names)}" if names else "there are none"
