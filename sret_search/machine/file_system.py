"""Free bytes and inodes of a file system."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SPARE = 50 * 10**6
"""Bytes for files of Ray, logs, and files that other programs write meanwhile."""


SPARE_FILES = 500
"""Number of files that must fit at the same time: those of running trials and of Ray."""


def free(folder: Path) -> int:
    """Free bytes of the file system of a folder, which need not exist yet."""
    return shutil.disk_usage(existing_above(folder.absolute())).free


def lacks_files(folder: Path) -> bool:
    """Whether the file system of a folder has too few inodes left. The folder need not exist yet.

    A disk with many small files may lack inodes long before it is full.
    """
    of_system = os.statvfs(existing_above(folder.absolute()))
    # Some file systems have no fixed number of inodes, and report 0 of 0.
    return of_system.f_files > 0 and of_system.f_favail < SPARE_FILES


def existing_above(folder: Path) -> Path:
    """The folder, or the nearest existing folder above it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
