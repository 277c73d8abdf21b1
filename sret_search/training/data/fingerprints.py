"""Fingerprints of data sets, cheap enough to be made on every read.

A cut of a data set numbers its images. If images are added, removed or reordered between two runs,
the same cut gives other parts. A trial could then be tested on images that another trial was
trained on.
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
"""Most class folders, over all parts, with a fingerprint each. With more, each part has a single
fingerprint."""
_MOST_SIZES = 100_000
"""Most files whose sizes enter a fingerprint. With more, only their names do."""
_MOST_BYTES = 2**26
"""Most bytes of pixels in a fingerprint. Of larger sets, evenly spaced images are taken."""


def folder_groups(folders: dict[str, Folder], names: dict[str, str]) -> tuple[Group, ...]:
    """Fingerprints of folders of images, by the files' names and sizes.

    Args:
        folders: the folder of each part.
        names: names of these folders with a slash at the end; "" for a single folder.
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


def part_group(part: str, images: MemoryPart | StreamPart) -> Group:
    """The fingerprint of a part, from its labels, and from names and sizes of its files. Pixels
    enter if they are the same on every machine."""
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
            with suppress(OSError):  # a broken link is reported when it is read
                digest.update(b"%d" % os.stat(file).st_size)
    return digest.hexdigest()[:16]
