"""Decoded images on disk. All processes of a machine map the same file instead of holding copies."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import BadZipFile
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from sret_search.errors import reason
from sret_search.job.paths import PathError, expanded
from sret_search.writing import write_whole

_FORMAT = 1  # raise it when the same files give other bytes


def folder() -> Path:
    """Folder of the cache: `$XDG_CACHE_HOME/sret_search`, or `~/.cache/sret_search`.

    Raises:
        FileNotFoundError: there is no home folder.
    """
    try:
        above = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    except PathError:
        raise FileNotFoundError("this user has no home folder") from None
    return Path(above) / "sret_search"


def key(files: Iterable[Path], *settings: object) -> str:
    """Name of a cache entry: a hash of files, by name, size and time of change, and of settings."""
    states = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
    sizes = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    known = (_FORMAT, settings, sizes)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


@contextlib.contextmanager
def locked(name: str) -> Iterator[str | None]:
    """Hold the lock of a cache entry, one process at a time.

    Yields:
        None, or the reason why the cache cannot be written. Then nothing is locked.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder().mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder() / f"{name}.lock").open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX)
            why = None
        except OSError as error:
            why = reason(error)
        yield why


def find(name: str) -> tuple[Tensor, Tensor] | None:
    """Images, mapped, and labels of a cache entry; None unless both are there and undamaged."""
    try:
        images, labels = _paths(name)
        with labels.open("rb") as file, np.load(file) as kept:
            known, checksum = kept["labels"], int(kept["checksum"])
        # Mode "c" shares the file's pages as "r" does. torch takes only arrays that it may write
        # to.
        mapped = np.load(images, mmap_mode="c")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    if len(mapped) != len(known) or crc32(mapped) != checksum:
        return None
    return torch.from_numpy(mapped), torch.from_numpy(known)


def keep(name: str, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Write images and labels, under the lock.

    Returns:
        The pair that `find` returns; the arguments if writing failed.
    """
    pixels = np.ascontiguousarray(images.numpy())
    checksum = np.int64(crc32(pixels.data))
    try:
        images_path, labels_path = _paths(name)
        write_whole(images_path, lambda file: np.save(file, pixels))
        write_whole(
            labels_path, lambda file: np.savez(file, labels=labels.numpy(), checksum=checksum)
        )
    except OSError:
        return images, labels
    return find(name) or (images, labels)


def _paths(name: str) -> tuple[Path, Path]:
    return folder() / f"{name}.images.npy", folder() / f"{name}.labels.npz"
