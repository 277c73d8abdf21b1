"""Folders of one folder of images a class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sret_search.training.data.errors import DataError, reason
from sret_search.training.data.images import Files
from sret_search.training.vision import torchvision


@dataclass(frozen=True, eq=False)
class Folder:
    """The images below a folder, sorted by class and name, and their labels (I,)."""

    path: Path
    classes: list[str]
    files: Files
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The folders of a data set. What is None is to be cut from `train`."""

    train: Folder
    val: Folder | None = None
    test: Folder | None = None


def imagefolder(path: Path) -> Layout:
    """Classes at the top; or below train/ and test/, or train/ and val/ as the test, or all three.

    Raises:
        DataError: a folder is missing or holds no images, or classes differ.
    """
    names = set(_subfolders(path))
    if names >= {"train", "test"}:
        val = _read(path / "val") if "val" in names else None
        return _same_classes(Layout(_read(path / "train"), val, _read(path / "test")))
    if names >= {"train", "val"} or names == {"train"}:
        return _same_classes(Layout(_read(path / "train"), test=_read(path / "val")))
    return Layout(_read(path))


def imagenet(root: Path) -> Layout:
    """ILSVRC 2012: its validation images are the test part, since its test has no labels.

    Raises:
        DataError: a folder is missing or holds no images, or classes differ.
    """
    return _same_classes(Layout(_read(root / "train"), test=_read(root / "val")))


def _same_classes(layout: Layout) -> Layout:
    for other in filter(None, (layout.val, layout.test)):
        differing = set(layout.train.classes) ^ set(other.classes)
        if differing:
            raise DataError(
                f"{layout.train.path} and {other.path} need the same class folders,"
                f" but only one has {min(differing)}"
            )
    return layout


def _read(path: Path) -> Folder:
    classes = _subfolders(path)
    if not classes:
        raise DataError(f"{path} has no class folders: give each class a folder of images there")
    reader = torchvision.datasets.folder
    numbers = {name: number for number, name in enumerate(classes)}
    samples = reader.make_dataset(path, numbers, reader.IMG_EXTENSIONS, allow_empty=True)
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    empty = np.flatnonzero(torch.bincount(labels, minlength=len(classes)) == 0)
    if len(empty):
        known = ", ".join(reader.IMG_EXTENSIONS)
        raise DataError(f"the class folder {path / classes[empty[0]]} has no images ({known})")
    return Folder(path, classes, Files([file for file, _ in samples]), labels)


def _subfolders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise DataError(f"no folder of images at {path}: {reason(error)}") from error
