"""Folders of one folder of images a class."""

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
    """The folders of a data set. What is None is to be cut from `train`.

    Attributes:
        passed: what lies there and is not among its images.
    """

    train: Folder
    val: Folder | None
    test: Folder | None
    passed: walking.Passed


def imagefolder(path: Path) -> Layout:
    """Classes at the top; or below folders for training and test, or training and validation, which
    then is the test, or all three.

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
    """ILSVRC 2012: its validation images are the test part, since its test has no labels.

    Raises:
        DataError: as of `imagefolder`.
    """
    parts = layout.imagenet_parts(root)
    return _read({"train": root / parts["train"], "test": root / parts["val"]})


def _read(paths: Mapping[str, Path], above: Path | None = None) -> Layout:
    passed = walking.Passed()
    if above is not None:
        walking.strays(above, passed)
    listed = {part: _Listed.below(path, passed) for part, path in paths.items()}
    first = listed["train"]
    for other in listed.values():
        differing = set(first.classes) ^ set(other.classes)
        if differing:
            raise DataError(
                f"{first.path} and {other.path} need the same class folders,"
                f" but only one has {min(differing)}"
            )
    _take_each_once(list(listed.values()))
    found = {part: each.folder() for part, each in listed.items()}
    return Layout(found["train"], found.get("val"), found.get("test"), passed)


@dataclass
class _Listed:
    """The images below a folder while they are compared: paths, labels (I,) and inodes (I,)."""

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
            found = walking.images(path / name, here)
            if not found:
                known = ", ".join(walking.ENDINGS)
                there = f"; there are {', '.join(here.told())}" if here.told() else ""
                raise DataError(f"the class folder {path / name} has no images ({known}){there}")
            passed.add(here)
            files += [file for file, _ in found]
            inodes += [inode for _, inode in found]
            labels += [label] * len(found)
        return cls(path, classes, files, np.array(labels), np.array(inodes, np.uint64))

    def folder(self) -> Folder:
        return Folder(self.path, self.classes, Files(self.files), torch.from_numpy(self.labels))

    def keep(self, kept: NDArray[np.bool_]) -> None:
        self.files = [file for file, stays in zip(self.files, kept, strict=True) if stays]
        self.labels, self.inodes = self.labels[kept], self.inodes[kept]


def _take_each_once(parts: list[_Listed]) -> None:
    """Drop the further names of a file with several.

    Raises:
        DataError: a file has two labels, or is in two parts.
    """
    inodes = np.concatenate([part.inodes for part in parts])
    ends = np.cumsum([len(part.files) for part in parts])
    order = np.argsort(inodes, kind="stable")
    # Whatever shares an inode's number with the one before it may be the same file, or lie on
    # another disk.
    again = np.flatnonzero(inodes[order][1:] == inodes[order][:-1]) + 1
    kept = np.ones(len(inodes), bool)
    # By name: the numbers of inodes differ from machine to machine.
    for place in again[np.argsort(order[again])]:
        one, other = (_of(parts, ends, int(order[place - back])) for back in (1, 0))
        try:
            is_same = os.path.samefile(one[0], other[0])
        except OSError:  # gone meanwhile, or a link to nothing
            continue
        if not is_same:
            continue
        if one[1:] != other[1:]:
            what = "two labels" if one[2] != other[2] else "in two parts"
            raise DataError(
                f"{one[0]} and {other[0]} are one file, which cannot"
                f" {'have' if one[2] != other[2] else 'be'} {what}: take one of them away"
            )
        kept[order[place]] = False
    for part, stay in zip(parts, np.split(kept, ends[:-1]), strict=True):
        part.keep(stay)


def _of(parts: list[_Listed], ends: NDArray[np.int64], place: int) -> tuple[str, int, int]:
    """The path of an image, its part and its label, by its place in all parts."""
    part = int(np.searchsorted(ends, place, side="right"))
    within = place - int(ends[part]) + len(parts[part].files)
    return parts[part].files[within], part, int(parts[part].labels[within])
