"""Output of commands: it survives characters that the terminal cannot show, and a closed terminal
or pipe."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sret_search.errors import encodable

_ERRORS = "sret_search.similar"
_SIMILAR = {
    "×": "x", "·": "*", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "±": "+-",
    "µ": "u", "μ": "u", "≤": "<=", "≥": ">=", "∞": "inf", "√": "sqrt ", "²": "^2",
    "“": '"', "”": '"', "’": "'",
}  # fmt: skip


def prepare() -> None:
    """Make printing safe in this process.

    A character that the output cannot take is replaced by a similar one, or by a question mark.
    Text for a closed pipe or a lost terminal is dropped.
    """
    codecs.register_error(_ERRORS, _similar)
    _open_standard_files()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  open as long as this process
        # Streams of notebooks have other types, and take all characters.
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
            if stream is getattr(sys, f"__{name}__"):
                setattr(sys, name, lasting(stream))


def _open_standard_files() -> None:
    """Open those of the files 0, 1 and 2 that are closed.

    Otherwise the next opened file, perhaps a database, would get that number, and child processes
    would print into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """A copy of a stream whose writes never fail. The stream stays open, since its file is closed
    with it."""
    with suppress(OSError):
        stream.flush()
    buffer = io.BufferedWriter(_Output(stream))
    return io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Output(io.RawIOBase):
    """Raw output to the file of a stream. Bytes that the file does not take are dropped."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, data: object) -> int:
        content = memoryview(data).cast("B")  # type: ignore[arg-type]
        try:
            return os.write(self.fileno(), content)
        except BlockingIOError:  # another process may have made the terminal non-blocking
            select.select([], [self.fileno()], [])
            return 0
        except OSError:
            return len(content)


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = encodable(error.object[error.start : error.end])
    return "".join(c if c.isascii() else _SIMILAR.get(c, "?") for c in refused), error.end


@contextmanager
def quiet() -> Iterator[None]:
    """Drop everything that is written to file descriptor 2, except what Python prints to standard
    error.

    Ray's core writes lines there when its head is lost, and no setting silences them. The run
    itself says in a line what happened.
    """
    try:
        shown = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # none, closed, or captured
        shown = False
    if not shown:
        yield
        return
    sys.stderr.flush()
    before, kept, nowhere = sys.stderr, os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = lasting(
        os.fdopen(
            kept, "w", buffering=1, encoding=before.encoding, errors=before.errors, closefd=False
        )
    )
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # the reader may be gone
            sys.stderr.flush()
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)
