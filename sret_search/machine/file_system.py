"""The room on a file system: bytes and inodes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SPARE = 50 * 10**6
"""Bytes for Ray's own files, logs, and what others write meanwhile."""


SPARE_FILES = 500
"""Files that must still find room beside each other: those of running trials, and Ray's own."""


def free(folder: Path) -> int:
    """Bytes that may still be written to the file system that holds a folder, or will hold it."""
    return shutil.disk_usage(existing_above(folder.absolute())).free


def lacks_files(folder: Path) -> bool:
    """Whether the file system that holds a folder, or will hold it, has too few inodes left, as a
    disk of many small files does long before it is full."""
    of_system = os.statvfs(existing_above(folder.absolute()))
    # Some file systems have no number of inodes that could run out, and say 0 of 0.
    return of_system.f_files > 0 and of_system.f_favail < SPARE_FILES


def existing_above(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
