"""Data sets that torchvision reads from their official files."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sret_search.errors import reason
from sret_search.job import PHOTOGRAPH, Data
from sret_search.training.data import cache
from sret_search.training.data.errors import DataError
from sret_search.training.data.images import Files, Images, Items
from sret_search.training.data.memory import MemoryPart, resized
from sret_search.training.data.streams import StreamPart
from sret_search.training.vision import torchvision

_MOST = 4 * 2**30  # bytes of images that are held in memory
_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
_TEST_SPLITS = {"Imagenette": "val"}  # the only one without "test"


class Library:
    """A torchvision data set in a folder."""

    def __init__(self, data: Data, root: Path) -> None:
        self.data = data
        self.root = root
        self.name = _CLASSES.get(data.source, data.source)
        self.where = f"{self.name} in {root}"
        self.notes: tuple[str, ...] = ()
        """Remarks for the reader, known after reading."""
        self._kind = getattr(torchvision.datasets, self.name)
        self._accepted = inspect.signature(self._kind).parameters
        # QMNIST passes on arguments that it does not name.
        self._downloads = not {"download", "kwargs"}.isdisjoint(self._accepted)

    def parts(self) -> list[MemoryPart | StreamPart]:
        """The official training and test parts, or a single part for all.

        Raises:
            DataError: files are missing or broken.
        """
        with cache.locked(cache.key([], self.where)) as refused:
            parts = [self._part(choice, refused is None) for choice in self._choices()]
        if refused is not None and any(isinstance(part, MemoryPart) for part in parts):
            self.notes = (
                f"{self.where} is decoded again by each trial, since it cannot be kept ({refused}):"
                " set XDG_CACHE_HOME to another folder",
            )
        return parts

    def _choices(self) -> list[dict[str, Any]]:
        if "train" in self._accepted:
            return [{"train": True}, {"train": False}]
        if "split" in self._accepted:
            # The default is the part for training: "trainval" if validation is separate.
            train, test = self._accepted["split"].default, _TEST_SPLITS.get(self.name, "test")
            return [{"split": train}, {"split": test}]
        return [{}]

    def _part(self, choice: Mapping[str, Any], writable: bool) -> MemoryPart | StreamPart:
        is_resized = self.data.image_size is not None
        kept = cache.find(self._key(choice))
        if kept is not None:
            return MemoryPart.whole(*kept, is_resized)
        download = {"download": self.data.download} if self._downloads else {}
        try:
            dataset = self._kind(root=str(self.root), **choice, **download)
            labels, images = _labels(dataset), _array(dataset, self.data.image_size)
        except Exception as error:
            raise DataError(self._complaint(error)) from error
        if images is not None:
            # The key is computed again, since the download may have added files.
            kept = cache.keep(self._key(choice), images, labels) if writable else (images, labels)
            return MemoryPart.whole(*kept, is_resized)
        files, labels = self._streamed(dataset, labels)
        mode = "L" if self.data.in_channels == 1 else "RGB"
        return StreamPart.whole(files, labels, self.data.image_size or PHOTOGRAPH, mode)

    def _streamed(self, dataset: Any, labels: Tensor) -> tuple[Images, Tensor]:
        items = Items(dataset, self.where)
        paths = items.files()
        if paths is None:
            return items, labels
        # SUN397 lists its files in the file system's order, which differs from machine to machine.
        order = sorted(range(len(paths)), key=paths.__getitem__)
        return Files([paths[number] for number in order]), labels[order]

    def _key(self, choice: Mapping[str, Any]) -> str:
        return cache.key(self._files(), self.where, choice, self.data.image_size)

    def _files(self) -> Iterable[Path]:
        """The files of a data set that may be held in memory."""
        if issubclass(self._kind, torchvision.datasets.MNIST):
            return (self.root / self.name).rglob("*")
        return (self.root / getattr(self._kind, "base_folder", "")).glob("*")

    def _complaint(self, error: Exception) -> str:
        if self._downloads and self.data.download:
            return (
                f"{self.name} cannot be downloaded to {self.root}, or read there: {reason(error)}"
            )
        remedy = ", or say `download: true`" if self._downloads else ""
        broken = self._broken()
        if broken is not None:
            return f"{broken} is corrupted: put a whole one there{remedy}"
        if isinstance(error, FileNotFoundError) or "Dataset not found" in str(error):
            return f"no {self.where}: put its files there{remedy}"
        return f"cannot read {self.where}: {reason(error)}; put whole files there{remedy}"

    def _broken(self) -> Path | None:
        """The first file that differs from its checksum; None if all are right or have no checksum."""
        kind = self._kind
        listed = [*getattr(kind, "train_list", ()), *getattr(kind, "test_list", ())]
        listed += [entry[1:] for entry in getattr(kind, "split_list", {}).values()]
        folder = self.root / getattr(kind, "base_folder", "")
        for name, checksum in listed:
            path: Path = folder / name
            if path.exists() and not torchvision.datasets.utils.check_integrity(path, checksum):
                return path
        return None


def _array(dataset: Any, image_size: int | None) -> Tensor | None:
    """Images (I, C, S, S), uint8, of a data set that has them in an array and is not too large;
    None for others."""
    if not hasattr(dataset, "data"):
        return None
    array = np.asarray(dataset.data)
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[-1] == 3:
        array = array.transpose(0, 3, 1, 2)
    size = image_size or array.shape[-1]
    if len(array) * array.shape[1] * size**2 > _MOST:
        return None
    images = torch.from_numpy(np.ascontiguousarray(array))
    return images if size == array.shape[-1] else resized(images, size)


def _labels(dataset: Any) -> Tensor:
    """Labels (I,), without decoding images if the data set lists its labels."""
    for name in ("targets", "labels", "_labels", "y"):
        if hasattr(dataset, name):
            labels = np.asarray(getattr(dataset, name))
            break
    else:
        # PCAM reads its labels only together with its images.
        labels = np.asarray([label for _, label in getattr(dataset, "_samples", dataset)])
    # QMNIST has more columns than the class.
    return torch.from_numpy(labels.reshape(len(labels), -1)[:, 0].astype(np.int64))
