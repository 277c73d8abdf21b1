"""Sources of images, by the kind of data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sret_search.job import PHOTOGRAPH, Contents, Data
from sret_search.job.paths import PathError, expanded
from sret_search.training.data import fingerprints, folders, imported
from sret_search.training.data.errors import DataError
from sret_search.training.data.library import Library
from sret_search.training.data.memory import MemoryPart, resized
from sret_search.training.data.streams import StreamPart


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as its files hold it. A part that is None is cut from `train`.

    Attributes:
        where: the name in messages.
        contents: fingerprint; None for data sets that nobody can change.
        notes: remarks for the reader, a line each.
    """

    where: str
    train: MemoryPart | StreamPart
    val: MemoryPart | StreamPart | None = None
    test: MemoryPart | StreamPart | None = None
    contents: Contents | None = None
    notes: tuple[str, ...] = ()


def read(data: Data) -> Source:
    """The images of a data set, or the means to open them.

    Raises:
        DataError: files are missing or broken.
    """
    try:
        return _read(data)
    except PathError as error:
        raise DataError(str(error), "imagefolder" if data.imagefolder else "root") from None


def _read(data: Data) -> Source:
    if data.source == "digits":
        return Source("digits", _digits(data.image_size))
    if data.imagefolder is not None:
        path = Path(expanded(data.imagefolder)).absolute()
        return _streamed(str(path), folders.imagefolder(path), data.image_size)
    if data.is_imported:
        return _with_contents(Source(data.name, *imported.read(data)))
    root = Path(expanded(data.root or "")).absolute()
    if data.source == "imagenet":
        return _streamed(f"imagenet in {root}", folders.imagenet(root), data.image_size)
    library = Library(data, root)
    train, *test = library.parts()
    test_part = test[0] if test else None
    return _with_contents(Source(library.where, train, test=test_part, notes=library.notes))


def _with_contents(source: Source) -> Source:
    """The same source with its fingerprint."""
    parts = {"train": source.train, "val": source.val, "test": source.test}
    groups = [
        fingerprints.part_group(name, part) for name, part in parts.items() if part is not None
    ]
    return replace(source, contents=Contents(tuple(groups)))


def _streamed(where: str, layout: folders.Layout, image_size: int | None) -> Source:
    def part(folder: folders.Folder) -> StreamPart:
        return StreamPart.whole(folder.files, folder.labels, image_size or PHOTOGRAPH, "RGB")

    passed = layout.passed.counts()
    return Source(
        where,
        part(layout.train),
        None if layout.val is None else part(layout.val),
        None if layout.test is None else part(layout.test),
        _contents(layout),
        (f"{where}: passed over {'; '.join(passed)}",) if passed else (),
    )


def _contents(layout: folders.Layout) -> Contents:
    every = {"train": layout.train, "val": layout.val, "test": layout.test}
    given = {part: folder for part, folder in every.items() if folder is not None}
    names = {part: f"{folder.path.name}/" for part, folder in given.items()}
    if len(given) == 1:
        top = f"the {len(layout.train.classes):,} class folders of {names['train']}"
        groups = fingerprints.folder_groups(given, {"train": ""})
        return Contents(groups, dict.fromkeys(every, top), ("val", "test"))
    cut = tuple(part for part in every if part not in given)
    folders_ = {part: names.get(part, names["train"]) for part in every}
    return Contents(fingerprints.folder_groups(given, names), folders_, cut)


def _digits(image_size: int | None) -> MemoryPart:
    """Images of scikit-learn: the test part of the UCI Optical Recognition of Handwritten Digits
    data (Alpaydin, Kaynak)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    if image_size is not None and image_size != images.shape[-1]:
        images = resized(images, image_size)
    return MemoryPart.whole(images, torch.from_numpy(digits.target).long())
