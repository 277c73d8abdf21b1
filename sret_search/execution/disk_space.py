"""Free disk space for a study, before it starts and while it runs."""

from __future__ import annotations

import math
import os
import tempfile
import time
from pathlib import Path

from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.config.addresses import masked
from sret_search.config.problems import shown
from sret_search.machine.file_system import SPARE, SPARE_FILES, existing_above, free, lacks_files
from sret_search.planning.disk_usage import DiskEstimate, estimate_disk_usage
from sret_search.study import Study, StudyError
from sret_search.units import size_text

_FRESH = 1.0
"""Seconds for which a measurement of the disk is used."""


def check_space(study: Study) -> str:
    """Check that the disk has space for concurrent trials. Returns the study's needs in words.

    For an object store, only files on their way to it count, which are on this machine.

    Raises:
        StudyError: the disk has less space than the study needs to run at all.
    """
    usage = estimate_disk_usage(study)
    for folder, least in _by_disk(study, usage, usage.kept + usage.writing):
        there = free(folder)
        if there < least:
            raise StudyError(
                f"{shown(study.path)}: {usage.live} trials at a time need {size_text(least)} of disk"
                f" in {shown(folder)}, where {size_text(there)} are free; make room there, name"
                " another place as storage.trials, or run fewer at a time (compute.concurrent)"
            )
        if lacks_files(folder):
            raise StudyError(f"{shown(study.path)}: {_no_inodes(folder)}")
    folders, total = _folders(study), size_text(usage.total)
    if folders.is_remote:
        return f"needs up to {total} in {masked(folders.root)}"
    return f"needs up to {total} of disk ({size_text(free(Path(folders.root)))} free)"


class Watermark:
    """Monitor of the disks of a study.

    A disk is full if running trials might not write their next checkpoints, or the ledger its rows.

    Args:
        live: trials that run at a time; by default as many as this machine can run.
    """

    def __init__(self, study: Study, live: int | None = None) -> None:
        usage = estimate_disk_usage(study, live)
        self._reserves = _by_disk(study, usage, usage.writing)
        self._looked, self._full = -math.inf, ""

    @property
    def full(self) -> bool:
        """Whether a disk is full, measured at most once a second."""
        if time.monotonic() - self._looked >= _FRESH:
            self._looked = time.monotonic()
            lacks = [lack for place in self._reserves if (lack := _lack(*place))]
            self._full = "; ".join(lacks)
        return bool(self._full)

    def __str__(self) -> str:
        return self._full or "there is room on the disk"


def _folders(study: Study) -> TrialFolders:
    return TrialFolders(study.trials_place or str(study.folder))


def _trials(study: Study) -> Path | None:
    """The folder on this machine in which trials are written; None if they are written elsewhere.

    On the way to an object store they are written on the worker's disk.
    """
    folders = _folders(study)
    if not folders.is_remote:
        return Path(folders.root)
    return Path(tempfile.gettempdir()) if study.file.compute.address == "local" else None


def _by_disk(study: Study, usage: DiskEstimate, trials: int) -> list[tuple[Path, int]]:
    """A folder on each file system, with the bytes that trials and ledger need there."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, wanted in ((_trials(study), trials), (study.folder, usage.ledger)):
        if folder is None:
            continue
        disk = os.stat(existing_above(folder.absolute())).st_dev
        first, before = disks.get(disk, (folder, SPARE))
        disks[disk] = first, before + wanted
    return list(disks.values())


def _lack(folder: Path, reserve: int) -> str:
    """The lack of space or inodes on a disk, for the reader; empty if it has enough."""
    if lacks_files(folder):
        return _no_inodes(folder)
    there = free(folder)
    if there >= reserve:
        return ""
    return (
        f"{shown(folder)} has {size_text(there)} of disk free, and running trials may need"
        f" {size_text(reserve)}"
    )


def _no_inodes(folder: Path) -> str:
    return (
        f"the file system of {shown(folder)} has fewer than {SPARE_FILES} inodes left (df -i);"
        " remove files there, or name another place as storage.trials"
    )
