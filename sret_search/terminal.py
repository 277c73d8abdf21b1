"""Output of commands, on a terminal, in a file or in a pipe, whatever characters it can take, and also
where it ends before the command does."""

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
    """Let this process print at all times. A character that its output cannot take is replaced by
    similar ones, or by a question mark; what is printed to a closed pipe, or to a terminal that is
    gone, is lost, and nothing else is."""
    codecs.register_error(_ERRORS, _similar)
    _open_standard_files()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  open as long as this process
        # A notebook's streams are of other kinds, and take everything.
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
            if stream is getattr(sys, f"__{name}__"):
                setattr(sys, name, lasting(stream))


def _open_standard_files() -> None:
    """Open whichever of the files 0, 1 and 2 is closed: the next file that is opened would get its
    number, a database perhaps, and child processes would print into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the least number that is free


def lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same output, which never fails. The stream that it is made from stays open: its file is
    closed with it."""
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
    """Bytes for the file of a stream; those that it does not take are dropped."""

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
        except BlockingIOError:  # others who share a terminal may have set it so
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
    """Keep what is written to the file descriptor of standard error itself off the terminal, and
    let through what Python prints there.

    The core of Ray tells there, in lines of its own, that its head is gone, and no setting of its
    own silences that; the run says in one line what it means.
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
        with suppress(OSError, ValueError):  # whoever read it may be gone
            sys.stderr.flush()
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)
