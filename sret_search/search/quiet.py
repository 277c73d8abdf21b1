"""Standard error without what libraries in C and C++ write there themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sret_search.terminal import lasting


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
