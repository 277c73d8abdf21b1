"""Settings of the C library's heap for models that recompute activations."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 2**20


def map_large_blocks() -> bool:
    """Let glibc map blocks of 1 MiB and more, and unmap them when they are freed.

    Recomputing makes and frees thousands of large blocks. In glibc's heap they leave gaps, and the
    process comes to hold a multiple of the memory that it uses. The setting acts on the whole
    process.

    Returns:
        Whether the process has a glibc to tune.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE) and mallopt(_M_TRIM_THRESHOLD, _LARGE))
