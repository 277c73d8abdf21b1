"""Storage of trials' folders: a disk, or an object store."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from sret_search.artifacts.object_store import Objects, sibling_url, whole_names
from sret_search.config.problems import shown
from sret_search.job.paths import is_url, path_below
from sret_search.study import StudyError


class Storage(Protocol):
    """A folder `<root>/<trial>/<attempt>/<file>`. Keys are paths below its root, with slashes.

    Attributes:
        root: an absolute path, or a URL.
        name: the root, for messages.
    """

    root: str
    name: str

    def at(self, key: str) -> str:
        """The path or URL of a key."""

    def attempts(self) -> Iterable[tuple[str, str]]:
        """Trial and attempt of every folder, with as few requests as possible."""

    def attempts_at(self, trial: str) -> Iterable[str]:
        """Names of a trial's folders."""

    def files(self, attempt: str) -> Iterable[str]:
        """Names of an attempt's whole files. Others may be among them."""

    def read(self, key: str) -> bytes | None:
        """Content of a file; None if it is absent or incomplete."""

    def size(self, key: str) -> int | None:
        """Bytes of a file; None if it is absent or incomplete."""

    def remove(self, key: str) -> None:
        """Remove a file or a mark, if it exists."""

    def mark(self, key: str) -> None:
        """Write a mark: an empty file, whose existence is its message."""

    def is_marked(self, key: str) -> bool:
        """Whether a mark exists."""

    def claim(self, attempt: str) -> bool:
        """Make an attempt's folder; False if it belongs, or may belong, to another driver."""

    def set_aside(self, ending: str) -> str | None:
        """Move everything to `<root>.<ending>`. Returns its name, or None if there was nothing."""


class Disk:
    """A folder of a file system, perhaps a shared one. Every file in it is whole.

    Args:
        root: a path, or a file: URL.

    Raises:
        StudyError: the URL names another machine.
    """

    def __init__(self, root: str) -> None:
        if is_url(root):
            parts = urlsplit(root)
            if parts.netloc not in ("", "localhost"):
                raise StudyError(
                    f"{root}: a file: URL has three slashes, as in file:///data/trials"
                )
            root = unquote(parts.path)
        self.root = os.path.abspath(root)
        self.name = shown(Path(self.root))

    def at(self, key: str) -> str:
        return f"{self.root}/{key}"

    def attempts(self) -> Iterable[tuple[str, str]]:
        trials = self.attempts_at("")
        return ((trial, name) for trial in trials for name in self.attempts_at(trial))

    def attempts_at(self, trial: str) -> Iterable[str]:
        try:
            return os.listdir(self.at(trial))
        except (FileNotFoundError, NotADirectoryError):
            return []

    files = attempts_at

    def read(self, key: str) -> bytes | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return Path(self.at(key)).read_bytes()
        return None

    def size(self, key: str) -> int | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return os.stat(self.at(key)).st_size
        return None

    def remove(self, key: str) -> None:
        Path(self.at(key)).unlink(missing_ok=True)

    def mark(self, key: str) -> None:
        Path(self.root).mkdir(parents=True, exist_ok=True)
        Path(self.at(key)).touch()

    def is_marked(self, key: str) -> bool:
        return os.path.exists(self.at(key))

    def claim(self, attempt: str) -> bool:
        folder = Path(self.at(attempt))
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        return True

    def set_aside(self, ending: str) -> str | None:
        if not self.attempts_at(""):
            return None
        aside = Path(f"{self.root}.{ending}")
        while aside.exists():
            aside = aside.with_name(f"{aside.name}-")
        Path(self.root).rename(aside)
        return shown(aside)


class Store:
    """A folder of an object store. A file in it is whole if it agrees with its manifest.

    Raises:
        StudyError: the URL does not lead to a store.
        StoreError: in each method, the store does not answer, or refuses.
    """

    def __init__(self, root: str) -> None:
        self.root = self.name = root
        self._objects = Objects(root)

    def at(self, key: str) -> str:
        return path_below(self.root, key)

    def attempts(self) -> Iterable[tuple[str, str]]:
        parts = (key.split("/") for key in self._objects.sizes())
        return {(part[0], part[1]) for part in parts if len(part) > 2}

    def attempts_at(self, trial: str) -> Iterable[str]:
        return {key.split("/")[1] for key in self._objects.sizes(trial)}

    def files(self, attempt: str) -> Iterable[str]:
        return [key.rpartition("/")[2] for key in whole_names(self._objects.sizes(attempt))]

    def read(self, key: str) -> bytes | None:
        return self._objects.whole(key)

    def size(self, key: str) -> int | None:
        return self._objects.size(key)

    def remove(self, key: str) -> None:
        self._objects.remove(key)

    def mark(self, key: str) -> None:
        self._objects.put(key, b"")

    def is_marked(self, key: str) -> bool:
        return self._objects.get(key) is not None

    def claim(self, attempt: str) -> bool:
        # A store has no exclusive creation, but a listing shows everything written before it. Of
        # two claims at the same time, the later sees the earlier. Whoever sees another claim steps
        # back.
        claim = f"{attempt}/claim-{secrets.token_hex(8)}"
        self._objects.put(claim, b"")
        if list(self._objects.sizes(attempt)) == [claim]:
            return True
        self._objects.remove(claim)
        time.sleep(random.uniform(0.0, 0.2))
        return False

    def set_aside(self, ending: str) -> str | None:
        keys = self._objects.sizes()
        for key in keys:
            self._objects.move_beside(key, ending)
        return sibling_url(self.root, ending) if keys else None
