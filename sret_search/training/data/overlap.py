"""Images that two cuts of a data set have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from sret_search.job import Contents, Data
from sret_search.job.paths import expanded
from sret_search.job.provenance import Seen
from sret_search.training.data.errors import DataError
from sret_search.training.data.memory import MemoryPart
from sret_search.training.data.split import Indices, cut_indices, load

_PARTS = {"train": 0, "val": 1, "test": 2}
_CUT = ("split_seed", "val", "test", "order", "images", "grid", "test_grid")
"""Fields in which two cuts of a data set may differ, besides the fold."""


def same_set(a: Data, b: Data) -> bool:
    """Whether both are cuts of the same data set. The folder of a named data set does not count."""
    return _set(a) == _set(b)


def same_folds(a: Data, b: Data) -> bool:
    """Whether both are folds of the same data set, cut in the same way."""
    fields = ("folds", "split_seed", "order")
    alike = all(getattr(a, field) == getattr(b, field) for field in fields)
    return a.folds is not None and alike and same_set(a, b)


def overlap(
    seen: Sequence[Seen],
    data: Data,
    part: Literal["val", "test"],
    sizes: tuple[int, int, int],
    contents: Contents | None = None,
) -> int:
    """Number of images in a part of a data set that were also trained on.

    Args:
        seen: images that were trained on.
        part: the part to check.
        sizes: images before any cut, `Split.uncut`.
        contents: present fingerprint of the data set, `Split.contents`.

    Raises:
        DataError: the data set has changed or has other options, so the number cannot be known.
    """
    numbers = _numbers(data, sizes)[_PARTS[part]]
    trained_on = np.zeros(len(numbers), bool)
    for images in seen:
        if not same_set(images.data, data):
            continue
        if images.data.options != data.options:
            raise DataError(
                f"{data.name} with options {images.data.options} was trained on, and here they are"
                f" {data.options}: whether these are the same images cannot be known",
                "options",
            )
        if contents is not None and images.contents not in ("", contents.digest):
            raise DataError(
                f"{data.imagefolder or data.name} has changed since it was trained on: whether these"
                " are the same images cannot be known"
            )
        train, val, _ = _numbers(images.data, sizes)
        trained_on |= np.isin(numbers, train)
        if images.whole:
            trained_on |= np.isin(numbers, val)
    return int(trained_on.sum())


def difference(seen: Sequence[Seen], data: Data) -> str:
    """Differences of the cut from that of the first training with the same data set, in words."""
    for images in seen:
        if same_set(images.data, data):
            theirs, ours = _cut(images.data), _cut(data)
            differences = [
                f"{k} {v} there, {ours[k]} here" for k, v in theirs.items() if v != ours[k]
            ]
            differences += ["it was trained on train+val"] * images.whole
            if differences:
                return "; ".join(differences)
    return "another cut"


def _cut(data: Data) -> dict[str, str]:
    fold = "none" if data.folds is None else f"{data.fold} of {data.folds}"
    return {field: str(getattr(data, field)) for field in _CUT} | {"fold": fold}


def _set(data: Data) -> str:
    if data.imagefolder is not None:
        return str(Path(expanded(data.imagefolder)).resolve())
    # torchvision's name of a data set differs in case: CIFAR10 is cifar10.
    return data.name if data.is_imported else data.name.lower()


def _numbers(data: Data, sizes: tuple[int, int, int]) -> tuple[Indices, Indices, Indices]:
    """Numbers of the images in each part. An image has the same number in every cut of the data
    set."""
    if data.source == "connectivity":
        return _numbers_of_grids(data)
    pool, val, test = sizes
    if val:
        train, validation, testing = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    else:
        train, validation, testing = cut_indices(data, pool, test)
        testing = testing + pool if test else testing
    return train, validation, testing


def _numbers_of_grids(data: Data) -> tuple[Indices, Indices, Indices]:
    """Numbers of connectivity grids: hashes of their pixels, since each cut makes new grids."""
    numbers = []
    split = load(data)
    for part in (split.train, split.val, split.test):
        assert isinstance(part, MemoryPart)
        images = part.images[part.index].numpy()
        numbers.append(np.array([hash(image.tobytes()) for image in images], np.int64))
    train, val, test = numbers
    return train, val, test
