"""The files of a report."""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure


def picture(figure: Figure, kind: str) -> bytes:
    """The picture, the same bytes for the same results."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "sret_search", "savefig.dpi": 200}):
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """A reader never sees half of a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
