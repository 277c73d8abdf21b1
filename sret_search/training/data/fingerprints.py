"""Digests of what a data set holds, cheap enough to be made whenever it is read.

A cut of a data set numbers its images. Where some come, go, or trade places between two runs, the
same cut deals other images, and what one trial trained on another one is tested on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
from torch import Tensor

from sret_search.job.contents import WORDS, Group
from sret_search.training.data.folders import Folder
from sret_search.training.data.memory import MemoryPart
from sret_search.training.data.streams import StreamPart

_MOST_GROUPS = 200
"""Class folders of all parts that are told apart; of more than these, only the parts are."""
_MOST_SIZES = 100_000
"""Files whose sizes are looked at; of more than these, only the names are."""
_MOST_BYTES = 2**26
"""Bytes of pixels that are read; of larger sets, evenly spaced images are."""


def of_folders(folders: dict[str, Folder], names: dict[str, str]) -> tuple[Group, ...]:
    """The images of the folders of parts, by their names and sizes.

    Args:
        names: of the parts' folders, with a slash at the end, or "" of a single one.
    """
    with_sizes = sum(len(folder.labels) for folder in folders.values()) <= _MOST_SIZES
    by_class = sum(len(folder.classes) for folder in folders.values()) <= _MOST_GROUPS
    return tuple(
        Group(part, place, len(files), _of_files(files, str(folder.path), with_sizes))
        for part, folder in folders.items()
        for place, files in _places(folder, names[part], by_class)
    )


def _places(folder: Folder, name: str, by_class: bool) -> Iterator[tuple[str, Sequence[str]]]:
    if not by_class:
        yield name or f"{folder.path.name}/", folder.files.files()
        return
    files, labels = folder.files.files(), folder.labels.numpy()
    for label, class_ in enumerate(folder.classes):
        numbers = np.flatnonzero(labels == label)
        yield f"{name}{class_}/", [files[n] for n in numbers]


def of_part(part: str, images: MemoryPart | StreamPart) -> Group:
    """The images of a part, by their labels, their files' names and sizes, and their pixels where
    these are the same on every machine."""
    digest = hashlib.sha256(images.labels.numpy().tobytes())
    if isinstance(images, StreamPart):
        files = images.images.files()
        if files:
            root = os.path.commonpath([min(files), max(files)])
            digest.update(_of_files(files, root, len(files) <= _MOST_SIZES).encode())
    elif not images.is_resized and not images.images.is_floating_point():
        digest.update(_sample(images).numpy().tobytes())
    return Group(part, f"the {WORDS[part]} part", len(images), digest.hexdigest()[:16])


def _sample(part: MemoryPart) -> Tensor:
    each = max(part.images[:1].numel(), 1)
    step = -(-len(part) * each // _MOST_BYTES)
    return part.images[part.index[::step]]


def _of_files(files: Sequence[str], root: str, with_sizes: bool) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file.removeprefix(root)) + b"\0")
        if with_sizes:
            with suppress(OSError):  # a link to nothing is named where it is to be read
                digest.update(b"%d" % os.stat(file).st_size)
    return digest.hexdigest()[:16]
