"""Bytes and durations as short texts."""

from __future__ import annotations


def size_text(size: int) -> str:
    """Bytes as a text such as "1.2 GB"."""
    for unit, of_unit in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= 0.9995 * of_unit:
            return f"{size / of_unit:.3g} {unit}"
    return f"{size / 1e3:.0f} kB"


def duration_text(seconds: float) -> str:
    """Seconds as a text such as "40 s", "5 min" or "2.5 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
