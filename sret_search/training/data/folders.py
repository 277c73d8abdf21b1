"""Data sets in folders, with one folder of images for each class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sret_search.training.data import layout, walking
from sret_search.training.data.errors import DataError
from sret_search.training.data.images import Files


@dataclass(frozen=True, eq=False)
class Folder:
    """The images below a folder, sorted by class and name, and their labels (I,)."""

    path: Path
    classes: list[str]
    files: Files
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The folders of a data set. A part that is None is cut from `train`.

    Attributes:
        passed: entries of the folders that are not among the images.
    """

    train: Folder
    val: Folder | None
    test: Folder | None
    passed: walking.Passed


def imagefolder(path: Path) -> Layout:
    """The layout of a folder: classes at the top, or below folders of parts.

    Parts are training and test, or training and validation, or all three. Without a test folder the
    validation folder is the test part.

    Raises:
        DataError: a folder is missing, holds no images, or can be read in several ways; classes
            differ; or an image has two labels or is in two parts.
    """
    parts = layout.parts_of(path)
    if not parts:
        return _read({"train": path})
    if "test" not in parts:
        parts["test"] = parts.pop("val")
    return _read({part: path / name for part, name in parts.items()}, path)


def imagenet(root: Path) -> Layout:
    """The layout of ILSVRC 2012. Its validation images are the test part, since its test has no
    labels.

    Raises:
        DataError: as for `imagefolder`.
    """
    parts = layout.imagenet_parts(root)
    return _read({"train": root / parts["train"], "test": root / parts["val"]})


def _read(paths: Mapping[str, Path], above: Path | None = None) -> Layout:
    passed = walking.Passed()
    if above is not None:
        walking.strays(above, passed)
    listed = {part: _Listed.below(path, passed) for part, path in paths.items()}
    first = listed["train"]
    for part in listed.values():
        differing = set(first.classes) ^ set(part.classes)
        if differing:
            raise DataError(
                f"{first.path} and {part.path} need the same class folders,"
                f" but only one has {min(differing)}"
            )
    _take_each_once(list(listed.values()))
    folders = {part: files.folder() for part, files in listed.items()}
    return Layout(folders["train"], folders.get("val"), folders.get("test"), passed)


@dataclass
class _Listed:
    """Image files below a folder while they are compared: paths, labels (I,) and inodes (I,)."""

    path: Path
    classes: list[str]
    files: list[str]
    labels: NDArray[np.int64]
    inodes: NDArray[np.uint64]

    @classmethod
    def below(cls, path: Path, passed: walking.Passed) -> _Listed:
        classes = walking.subfolders(path)
        if not classes:
            raise DataError(
                f"{path} has no class folders: give each class a folder of images there"
            )
        walking.strays(path, passed)
        files, labels, inodes = list[str](), list[int](), list[int]()
        for label, name in enumerate(classes):
            here = walking.Passed()
            files_here = walking.images(path / name, here)
            if not files_here:
                known = ", ".join(walking.ENDINGS)
                there = f"; there are {', '.join(here.counts())}" if here.counts() else ""
                raise DataError(f"the class folder {path / name} has no images ({known}){there}")
            passed.add(here)
            files += [file for file, _ in files_here]
            inodes += [inode for _, inode in files_here]
            labels += [label] * len(files_here)
        return cls(path, classes, files, np.array(labels), np.array(inodes, np.uint64))

    def folder(self) -> Folder:
        return Folder(self.path, self.classes, Files(self.files), torch.from_numpy(self.labels))

    def keep(self, kept: NDArray[np.bool_]) -> None:
        self.files = [file for file, stays in zip(self.files, kept, strict=True) if stays]
        self.labels, self.inodes = self.labels[kept], self.inodes[kept]


def _take_each_once(parts: list[_Listed]) -> None:
    """Keep a file with several names once, under its first name.

    Raises:
        DataError: a file has two labels, or is in two parts.
    """
    inodes = np.concatenate([part.inodes for part in parts])
    ends = np.cumsum([len(part.files) for part in parts])
    order = np.argsort(inodes, kind="stable")
    # Two files with equal inode numbers may be the same file, or lie on different disks.
    again = np.flatnonzero(inodes[order][1:] == inodes[order][:-1]) + 1
    kept = np.ones(len(inodes), bool)
    # In order of names: inode numbers differ from machine to machine.
    for place in again[np.argsort(order[again])]:
        first, second = (_image_at(parts, ends, int(order[place - back])) for back in (1, 0))
        try:
            is_same = os.path.samefile(first[0], second[0])
        except OSError:  # gone meanwhile, or a link to nothing
            continue
        if not is_same:
            continue
        if first[1:] != second[1:]:
            fault = "have two labels" if first[2] != second[2] else "be in two parts"
            raise DataError(
                f"{first[0]} and {second[0]} are one file, which cannot {fault}: remove one of the"
                " two"
            )
        kept[order[place]] = False
    for part, stay in zip(parts, np.split(kept, ends[:-1]), strict=True):
        part.keep(stay)


def _image_at(parts: list[_Listed], ends: NDArray[np.int64], place: int) -> tuple[str, int, int]:
    """The path of an image, its part and its label, by its position over all parts."""
    part = int(np.searchsorted(ends, place, side="right"))
    within = place - int(ends[part]) + len(parts[part].files)
    return parts[part].files[within], part, int(parts[part].labels[within])
