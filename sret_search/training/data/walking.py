"""Image files below a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sret_search.errors import reason
from sret_search.training.data.errors import DataError
from sret_search.training.vision import torchvision

ENDINGS: tuple[str, ...] = torchvision.datasets.folder.IMG_EXTENSIONS
_OF_SYSTEMS = frozenset({
    "__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "System Volume Information",
    "lost+found",
})  # fmt: skip


@dataclass
class Passed:
    """Entries below a folder that are not among its images.

    Attributes:
        endings: number of files by their ending, for endings that are not of images.
        hidden: files and folders of the operating system, or whose name begins with a dot.
        stray: images outside of all class folders.
        loops: links to a folder around them.
    """

    endings: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    stray: int = 0
    loops: int = 0

    def add(self, passed: Passed) -> None:
        """Add the counts of another folder."""
        self.endings += passed.endings
        self.hidden += passed.hidden
        self.stray += passed.stray
        self.loops += passed.loops

    def counts(self) -> list[str]:
        """Kinds of entries with their numbers, in words."""
        kinds = [f"{number:,} {ending}" for ending, number in self.endings.most_common(5)]
        rest = sum(self.endings.values()) - sum(n for _, n in self.endings.most_common(5))
        kinds += [f"{rest:,} of other endings"] if rest else []
        endings = f"files that do not end as images do ({', '.join(kinds)})" if kinds else ""
        counted = (
            ("hidden", self.hidden),
            ("outside of the class folders", self.stray),
            ("links to a folder around them", self.loops),
        )
        return [endings] * bool(endings) + [f"{kind} ({n:,})" for kind, n in counted if n]


def subfolders(path: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden folders.

    Raises:
        DataError: the folder cannot be listed.
    """
    return sorted(entry.name for entry in _entries(path) if _is_folder(entry))


def has_image(path: Path) -> bool:
    """Whether a folder has an image, at any depth."""
    return next(_files(path, Passed()), None) is not None


def images(path: Path, passed: Passed) -> list[tuple[str, int]]:
    """Images of a folder, at any depth, each with its inode, sorted by folder and name.

    Links are followed, to each folder once, and never to a folder around the link.

    Args:
        passed: counts of other entries, which are added to it.

    Raises:
        DataError: a folder cannot be listed.
    """
    return [(file, inode) for (_, _, file), inode in sorted(_files(path, passed))]


def strays(path: Path, passed: Passed) -> None:
    """Count the files beside folders of classes or parts.

    Raises:
        DataError: the folder cannot be listed.
    """
    for entry in _entries(path, passed):
        if not _is_folder(entry) and _is_image(entry.name):
            passed.stray += 1


def _files(path: Path, passed: Passed) -> Iterator[tuple[tuple[str, str, str], int]]:
    seen: set[tuple[int, int]] = set()
    waiting, linked = [str(path)], list[str]()
    while waiting or linked:
        # Links come last and in order: if two ways lead to a folder, the same one counts
        # everywhere.
        folder = waiting.pop() if waiting else linked.pop(linked.index(min(linked)))
        try:
            state = os.stat(folder)
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {reason(error)}") from error
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        for entry in _entries(Path(folder), passed):
            if not _is_folder(entry):
                if _is_image(entry.name):
                    yield (folder, entry.name, entry.path), _inode(entry)
                else:
                    passed.endings[Path(entry.name).suffix.lower() or "no ending"] += 1
            elif not entry.is_symlink():
                waiting.append(entry.path)
            elif _lies_in(folder, entry.path):
                passed.loops += 1
            else:
                linked.append(entry.path)


def _entries(path: Path, passed: Passed | None = None) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder, without hidden ones."""
    try:
        with os.scandir(path) as entries:
            listed = list(entries)
    except OSError as error:
        raise DataError(f"no folder of images at {path}: {reason(error)}") from error
    for entry in listed:
        if not entry.name.startswith(".") and entry.name not in _OF_SYSTEMS:
            yield entry
        elif passed is not None:
            passed.hidden += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _lies_in(folder: str, link: str) -> bool:
    here, there = os.path.realpath(folder), os.path.realpath(link)
    return os.path.commonpath([here, there]) == there


def _inode(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_ino if entry.is_symlink() else entry.inode()
    except OSError:  # a broken link, reported when it is read as an image
        return entry.inode()
