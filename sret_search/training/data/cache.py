"""Decoded images on disk, which all processes of a machine map instead of holding their own."""

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

from sret_search.job.paths import PathError, expanded
from sret_search.training.data.errors import reason
from sret_search.training.files import write_whole

_FORMAT = 1  # to be raised when other bytes are written for the same files


def folder() -> Path:
    """Where they are kept: `$XDG_CACHE_HOME/sret_search`, or `~/.cache/sret_search`.

    Raises:
        FileNotFoundError: there is no home folder.
    """
    try:
        above = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    except PathError:
        raise FileNotFoundError("this user has no home folder") from None
    return Path(above) / "sret_search"


def key(files: Iterable[Path], *what: object) -> str:
    """A name for what was made of files: another one as soon as a file changes."""
    states = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
    known = (_FORMAT, what, [(name, state.st_size, state.st_mtime_ns) for name, state in states])
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


@contextlib.contextmanager
def locked(name: str) -> Iterator[str | None]:
    """Only one process at a time; why there is no lock, where the cache cannot be written."""
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
    """Images, mapped, and labels, if they were kept and are whole."""
    try:
        images, labels = _paths(name)
        with labels.open("rb") as file, np.load(file) as kept:
            known, checksum = kept["labels"], int(kept["checksum"])
        # "c" shares the file's pages as "r" does, and torch takes only what may be written to.
        mapped = np.load(images, mmap_mode="c")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    if len(mapped) != len(known) or crc32(mapped) != checksum:
        return None
    return torch.from_numpy(mapped), torch.from_numpy(known)


def keep(name: str, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Write images and labels under the lock; what `find` gives, or themselves if that fails."""
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
