"""Output of commands, on a terminal, in a file or in a pipe, whatever characters it can take."""

from __future__ import annotations

import codecs
import io
import sys

from sret_search.errors import encodable

_ERRORS = "sret_search.similar"
_SIMILAR = {
    "×": "x", "·": "*", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "±": "+-",
    "µ": "u", "μ": "u", "≤": "<=", "≥": ">=", "∞": "inf", "√": "sqrt ", "²": "^2",
    "“": '"', "”": '"', "’": "'",
}  # fmt: skip


def prepare() -> None:
    """Let this process print every character: one that its output cannot take is replaced by
    similar ones, or by a question mark."""
    codecs.register_error(_ERRORS, _similar)
    for stream in (sys.stdout, sys.stderr):
        # A notebook's streams are of other kinds, and take everything.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = encodable(error.object[error.start : error.end])
    return "".join(c if c.isascii() else _SIMILAR.get(c, "?") for c in refused), error.end
