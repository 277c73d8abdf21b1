"""A data set in three parts, and the distribution of its images over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sret_search.architecture import Architecture
from sret_search.job import Contents, Data
from sret_search.training.data.errors import DataError
from sret_search.training.data.memory import MemoryPart
from sret_search.training.data.parts import Part
from sret_search.training.data.sources import Source, read
from sret_search.training.data.streams import StreamPart

_SIZE = "pixels a side"
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a data set. Every choice reads `val`; `test` is read once, at the end.

    Attributes:
        mean, std: mean and standard deviation of each channel, with values scaled to 0 to 1.
        classes: number of classes.
        image_size: side in pixels.
        in_channels: number of channels.
        where: the name in messages: the folder, or the data set and its folder.
        uncut: images before any cut: of the part that training is cut from, and of validation and
            test if the data set has such parts, or 0.
        contents: fingerprint of the data set; None for data sets that nobody can change.
        notes: remarks for the reader, a line each.
    """

    train: Part
    val: Part
    test: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    image_size: int
    in_channels: int
    where: str
    uncut: tuple[int, int, int]
    contents: Contents | None
    notes: tuple[str, ...]

    @property
    def whole(self) -> Split:
        """The same parts, with the validation images also in the training part."""
        return replace(self, train=self.train.joined(self.val))


@lru_cache(maxsize=2)
def load(data: Data) -> Split:
    """Read a data set, shuffle it by `data.split_seed`, and cut it into its parts.

    Raises:
        DataError: files are missing or broken, or the set cannot be cut as asked.
    """
    source = read(data)
    whole = source.train, source.val, source.test
    train, val, test = _cut(data, source)
    mean, std = train.statistics()
    return Split(
        train=train,
        val=val,
        test=test,
        mean=mean,
        std=std,
        classes=1 + max(int(part.labels.max()) for part in whole if part is not None),
        image_size=train.image_size,
        in_channels=train.in_channels,
        where=source.where,
        uncut=(len(source.train), len(source.val or ()), len(source.test or ())),
        contents=source.contents,
        notes=source.notes,
    )


def _cut(data: Data, source: Source) -> list[MemoryPart | StreamPart]:
    pool, val, test = source.train, source.val, source.test
    if test is not None and (data.folds is not None or data.order != "shuffled"):
        raise DataError(f"{source.where} has a test part of its own: leave out `folds` and `order`")
    if val is not None and test is not None:
        return [pool, val, test]
    indices = cut_indices(data, len(pool), 0 if test is None else len(test))
    sizes = tuple(len(index) for index in indices)
    if min(sizes) == 0:
        raise DataError(
            f"each part needs an image, but val {data.val} and test {data.test}"
            f" leave {sizes} of {source.where}"
        )
    parts = (pool, pool, pool if test is None else test)
    return [part.take(index) for part, index in zip(parts, indices, strict=True)]


def cut_indices(data: Data, images: int, test: int) -> tuple[Indices, Indices, Indices]:
    """Distribute the images of a data set over its parts: indices for training, validation and test.

    Args:
        data: the rules of the cut.
        images: images in the part that is cut.
        test: images in the data set's test part. They are then the whole test, in their order. With
            0 the test is cut from the images too.
    """
    random = np.random.default_rng(data.split_seed)
    train, _, testing = data.cut(images, test)
    if test:
        order = random.permutation(images)
        return order[:train], order[train:], np.arange(test)
    contiguous = data.order == "contiguous"
    line = np.arange(images) if contiguous else random.permutation(images)
    begin = images - testing if data.folds is None else data.fold * images // data.folds
    held_out = slice(begin, begin + testing)
    rest = np.delete(line, held_out)
    if contiguous:
        rest = random.permutation(rest)
    return rest[:train], rest[train:], line[held_out]


def check_unchanged(split: Split, before: Contents | None) -> None:
    """Check that a data set is the same as when its study began.

    Raises:
        DataError: images have changed.
    """
    if before is None or split.contents is None:
        return
    changed = split.contents.difference(before)
    if changed is not None:
        raise DataError(
            f"{split.where} has changed since the study began: {changed}; put it back as it was, or"
            " start anew with --fresh, which keeps the old study aside"
        )


def check(split: Split, architecture: Architecture) -> None:
    """Check that an architecture has the classes, channels and size of these images.

    Raises:
        DataError: a number differs.
    """
    for has, takes, quantity in (
        (split.classes, architecture.classes, "classes"),
        (split.in_channels, architecture.in_channels, "channels"),
        (split.image_size, architecture.image_size, _SIZE),
    ):
        if has != takes:
            message = f"{split.where} has {has} {quantity}, but the architecture has {takes}"
            raise DataError(message, "image_size" if quantity == _SIZE else "name")
