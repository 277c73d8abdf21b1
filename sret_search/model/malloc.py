"""The C library's heap, tuned for models that recompute."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 2**20


def map_large_blocks() -> bool:
    """Let glibc map blocks of a mebibyte and more, and unmap them when they are freed.

    Recomputing makes and frees large blocks by the thousand. In glibc's heap they fragment
    around what stays, so that a process comes to hold a multiple of what it uses. Acts on the
    whole process. Returns whether there is a glibc to tune.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE) and mallopt(_M_TRIM_THRESHOLD, _LARGE))
