"""The allocator of the processes that train: jemalloc, which comes with Ray.

The steps of a training free and take the same large blocks again. glibc's heap leaves gaps between
them, and blocks that glibc maps have their pages faulted in anew. jemalloc does neither
(docs/log.md, 2026-11-30, has the figures).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

SETTINGS = "dirty_decay_ms:60000,muzzy_decay_ms:-1,oversize_threshold:0,thp:always"
"""Value of MALLOC_CONF. Memory that is free for a minute goes back to the system, also that of large
blocks, and large pages are asked for."""


def jemalloc() -> Path | None:
    """The library; None where Ray brings none, as on macOS."""
    ray = find_spec("ray")
    if ray is None or ray.origin is None:
        return None
    library = Path(ray.origin).parent / "core" / "libjemalloc.so"
    return library if library.exists() else None


def variables() -> dict[str, str]:
    """Environment variables with which a new process has the allocator. Empty if Ray brings none, or
    if the user preloads something, which is kept."""
    library = jemalloc()
    if library is None or "LD_PRELOAD" in os.environ:
        return {}
    return {"LD_PRELOAD": str(library), "MALLOC_CONF": os.environ.get("MALLOC_CONF", SETTINGS)}
