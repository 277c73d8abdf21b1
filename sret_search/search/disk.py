"""The disk of a study: whether there is room, and what is kept of ended trials."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sret_search.job.disk import in_words
from sret_search.search import front
from sret_search.search.entry import Entry
from sret_search.search.folders import Folders
from sret_search.search.need import Need, need
from sret_search.study import Study, StudyError
from sret_search.study.addresses import masked
from sret_search.study.errors import shown
from sret_search.study.preflight import existing_above
from sret_search.study.strict import size
from sret_search.training.names import STABLE

SPARE = 50 * 10**6
"""Bytes for Ray's own files, logs, and what others write meanwhile."""
_SPARE_FILES = 500
"""Files that must still find room beside each other: those of running trials, and Ray's own."""
_FRESH = 1.0
"""Seconds for which a look at the disk holds."""


def quota(study: Study) -> int:
    """Bytes that the checkpoints of ended trials may take."""
    return size(study.file.storage.quota)


def free(folder: Path) -> int:
    """Bytes that may still be written to the file system that holds a folder, or will hold it."""
    return shutil.disk_usage(existing_above(folder.absolute())).free


def lacks_files(folder: Path) -> bool:
    """Whether the file system that holds a folder, or will hold it, has too few inodes left, as a
    disk of many small files does long before it is full."""
    of_system = os.statvfs(existing_above(folder.absolute()))
    # Some file systems have no number of inodes that could run out, and say 0 of 0.
    return of_system.f_files > 0 and of_system.f_favail < _SPARE_FILES


def check_space(study: Study, live: int | None = None) -> str:
    """See that there is room for the trials that run at a time, and say what a study will need.

    Of an object store only what is written on this machine on the way there is looked at.

    Args:
        live: trials that run at a time; as many as this machine can run where not given.

    Raises:
        StudyError: the disk has less than it takes to run at all.
    """
    asked = need(study, live)
    for folder, least in _by_disk(study, asked, asked.kept + asked.writing):
        there = free(folder)
        if there < least:
            raise StudyError(
                f"{shown(study.path)}: {asked.live} trials at a time need {in_words(least)} of disk"
                f" in {shown(folder)}, where {in_words(there)} are free; make room there, name"
                " another place as storage.trials, or run fewer at a time (compute.concurrent)"
            )
        if lacks_files(folder):
            raise StudyError(f"{shown(study.path)}: {_no_inodes(folder)}")
    folders, total = _folders(study), in_words(asked.total)
    if folders.is_remote:
        return f"needs up to {total} in {masked(folders.root)}"
    return f"needs up to {total} of disk ({in_words(free(Path(folders.root)))} free)"


class Watermark:
    """Whether a disk is too full to begin anything: what runs must still be able to write its
    next checkpoints, and the ledger its rows.

    Args:
        live: trials that run at a time; as many as this machine can run where not given.
    """

    def __init__(self, study: Study, live: int | None = None) -> None:
        asked = need(study, live)
        self._reserves = _by_disk(study, asked, asked.writing)
        self._looked, self._full = -math.inf, ""

    @property
    def full(self) -> bool:
        """Looks at the disk once a second, however often it is asked."""
        if time.monotonic() - self._looked >= _FRESH:
            self._looked = time.monotonic()
            lacks = [lack for place in self._reserves if (lack := _lack(*place))]
            self._full = "; ".join(lacks)
        return bool(self._full)

    def __str__(self) -> str:
        return self._full or "there is room on the disk"


class Keeper:
    """Keeps of each ended trial the last full checkpoint, from which it can be continued, and of
    all of them no more than the quota.

    Beyond it those of trials off the Pareto front of validation accuracy (the mean over a
    candidate's seeds) against parameters go first, then those on it; of each the oldest first.
    What `restore` has seen once is remembered, and the trials' folders are never listed again.

    Args:
        folders: of all trials.
        quota: bytes that checkpoints of ended trials may take.
        needed: trials that others are still to go on from, whose checkpoints go last of all.
    """

    def __init__(self, folders: Folders, quota: int, needed: Collection[int] = ()) -> None:
        self._folders, self._quota, self._needed = folders, quota, frozenset(needed)
        self._kept: dict[int, list[tuple[str, str]]] = {}
        self._bytes: dict[int, int] = {}
        self._ended: dict[int, Entry] = {}
        self._accuracies: dict[str, list[float]] = defaultdict(list)
        self._params: dict[str, int] = {}
        self._total = 0

    def restore(self, entries: Iterable[Entry]) -> None:
        """Look at what all ended trials have, and remove what a killed run left."""
        attempts = self._folders.all_attempts()
        for entry in entries:
            if not entry.open:
                self._tidy(entry, attempts.get(entry.number, []))
        self._shrink()

    def ended(self, entry: Entry) -> None:
        """Remove what is no longer needed now that a trial has ended."""
        self._tidy(entry, self._folders.attempts(entry.number))
        self._shrink()

    def rests(self, entry: Entry) -> None:
        """Keep the last full checkpoint of a trial that waits at a rung: it may go on from there,
        so that no quota counts it."""
        for file in self._full(self._folders.attempts(entry.number))[:-1]:
            self._remove(file)

    def _tidy(self, entry: Entry, attempts: Sequence[str]) -> None:
        folders, wsd = self._folders, entry.schedule == "wsd"
        full = self._full(attempts)
        stable = [(a, STABLE) for a in attempts if folders.exists(a, STABLE)]
        kept = full[-1:] + (stable[-1:] if wsd else [])
        torn = [(a, name) for a in attempts for name in folders.unfinished(a)]
        for file in full + stable + torn:
            if file not in kept:
                self._remove(file)
        self._forget(entry.number)
        self._count(entry)
        if kept:
            self._kept[entry.number] = kept
            self._bytes[entry.number] = sum(folders.size(*file) for file in kept)
            self._total += self._bytes[entry.number]

    def _full(self, attempts: Sequence[str]) -> list[tuple[str, str]]:
        """Full checkpoints, by step; of equally far ones, that of the last attempt comes last."""
        found = [(a, name) for a in attempts for name in self._folders.checkpoints(a)]
        return sorted(found, key=lambda file: _step(file[1]))

    def _count(self, entry: Entry) -> None:
        if entry.state == "complete" and entry.number not in self._ended:
            self._params[entry.candidate] = entry.cost["params"]
            self._accuracies[entry.candidate].append(entry.result["val_accuracy"])
        self._ended[entry.number] = entry

    def _shrink(self) -> None:
        if self._total <= self._quota:
            return
        best = self._front()

        def worth(number: int) -> tuple[bool, bool, int]:
            entry = self._ended[number]
            on_front = entry.state == "complete" and entry.candidate in best
            return number in self._needed, on_front, number

        for number in sorted(self._kept, key=worth):
            if self._total <= self._quota:
                return
            for file in self._kept[number]:
                self._remove(file)
            self._forget(number)

    def _front(self) -> set[str]:
        """The candidates that no other one beats; equal ones together."""
        names = list(self._accuracies)
        means = [sum(found) / len(found) for found in self._accuracies.values()]
        on_front = front.pareto(means, [self._params[name] for name in names])
        return {names[i] for i in on_front.nonzero()[0]}

    def _remove(self, file: tuple[str, str]) -> None:
        # What cannot be removed now is found again at the next start.
        with suppress(OSError):
            self._folders.remove(*file)

    def _forget(self, number: int) -> None:
        self._kept.pop(number, None)
        self._total -= self._bytes.pop(number, 0)


def only_retrainable(
    folders: Folders, attempts: Mapping[int, Sequence[str]], entries: Iterable[Entry]
) -> list[int]:
    """The complete trials that have no full checkpoint in any of their attempts any more, so that
    they can only be retrained, not continued."""
    return [
        entry.number
        for entry in entries
        if entry.state == "complete"
        and not any(folders.checkpoints(a) for a in attempts.get(entry.number, []))
    ]


def without_folder(attempts: Mapping[int, Sequence[str]], entries: Iterable[Entry]) -> list[int]:
    """The trials that were trained, at least in part, and of which no folder is left."""
    return [
        entry.number
        for entry in entries
        if (entry.result.get("attempts") or entry.failures or entry.rungs)
        and entry.number not in attempts
    ]


def _step(checkpoint: str) -> int:
    return int(checkpoint.removeprefix("checkpoint-").removesuffix(".pt"))


def _folders(study: Study) -> Folders:
    return Folders(study.trials_place or str(study.folder))


def _trials(study: Study) -> Path | None:
    """Where trials are written to: on the way to an object store, on a worker's own disk; None
    where that is not this machine's."""
    folders = _folders(study)
    if not folders.is_remote:
        return Path(folders.root)
    return Path(tempfile.gettempdir()) if study.file.compute.address == "local" else None


def _by_disk(study: Study, asked: Need, trials: int) -> list[tuple[Path, int]]:
    """What the trials and the ledger take, by file system, each named by one of its folders."""
    found: dict[int, tuple[Path, int]] = {}
    for folder, wanted in ((_trials(study), trials), (study.folder, asked.ledger)):
        if folder is None:
            continue
        disk = os.stat(existing_above(folder.absolute())).st_dev
        first, before = found.get(disk, (folder, SPARE))
        found[disk] = first, before + wanted
    return list(found.values())


def _lack(folder: Path, reserve: int) -> str:
    """What a disk lacks, for the reader; nothing where it has enough."""
    if lacks_files(folder):
        return _no_inodes(folder)
    there = free(folder)
    if there >= reserve:
        return ""
    return (
        f"{shown(folder)} has {in_words(there)} of disk free, and running trials may need"
        f" {in_words(reserve)}"
    )


def _no_inodes(folder: Path) -> str:
    return (
        f"the file system of {shown(folder)} has fewer than {_SPARE_FILES} inodes left (df -i);"
        " remove files there, or name another place as storage.trials"
    )
