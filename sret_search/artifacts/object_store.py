"""Files in an object store, which are whole or absent although nothing there can be renamed.

A file counts only once its manifest, written after it, says its size and digest: an upload that
was cut short leaves an object without a manifest, or one that differs from it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from sret_search.config.addresses import masked, masked_value
from sret_search.study import StudyError

_MANIFEST = ".manifest"
_CHUNK = 2**22
_TRIES = 4
"""Requests to S3 before it counts as failing: some seconds where nobody answers."""
_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")

# What the stores' clients say, and what it means; the first that is found counts.
_REASONS = (
    (r"NO_SUCH_BUCKET", "there is no such bucket"),
    (r"NETWORK_CONNECTION|UNAVAILABLE|[Rr]esolve host|connect to", "it cannot be reached"),
    (
        r"ACCESS_DENIED|ACCESS_KEY|SIGNATURE|TOKEN|CLIENT|CREDENTIAL|Credential|PERMISSION_DENIED"
        r"|UNAUTHENTICATED|Authentic|Authoriz",
        "access is denied: check the credentials",
    ),
)


class StoreError(OSError):
    """A store does not answer, or refuses; one line for the reader."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a whole object is: its size in bytes and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Manifest:
        return cls(len(content), hashlib.sha256(content).hexdigest())


def beside(root: str, ending: str) -> str:
    """The URL of a folder whose name has one more ending; both have the same parameters."""
    folder, mark, parameters = root.partition("?")
    return f"{folder.rstrip('/')}.{ending}{mark}{parameters}"


def above(url: str, levels: int) -> str:
    """The URL of a folder so many levels up; both have the same parameters."""
    folder, mark, parameters = url.partition("?")
    return f"{folder.rstrip('/').rsplit('/', levels)[0]}{mark}{parameters}"


class Objects:
    """The files under one URL. They are named by their path from there, with slashes.

    Raises:
        StudyError: no store can be had by this URL. It may hold no secrets: credentials come
            from where the store's own tools find them.
        StoreError: in each method, the store does not answer, or refuses.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        with self._asked(StudyError):
            self._store, self._folder = _connected(root)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Every object under a folder, whole or not: its size in bytes."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._path(folder), allow_not_found=True, recursive=True)
        with self._asked():
            found = self._store.get_file_info(selector)
        start = len(self._folder) + 1
        return {info.path[start:]: info.size for info in found if info.type == FileType.File}

    def put(self, name: str, content: bytes) -> None:
        """Write an object without a manifest."""
        with self._asked(), self._store.open_output_stream(self._path(name)) as file:
            file.write(content)

    def get(self, name: str) -> bytes | None:
        """What an object holds, whole or not; None where there is none."""
        with self._asked(), suppress(FileNotFoundError):
            with self._store.open_input_stream(self._path(name)) as file:
                content: bytes = file.read()
            return content
        return None

    def remove(self, name: str) -> None:
        """Remove an object and its manifest, which goes first."""
        for path in (self._path(name + _MANIFEST), self._path(name)):
            with self._asked(), suppress(FileNotFoundError):
                self._store.delete_file(path)

    def move_beside(self, name: str, ending: str) -> None:
        """Move an object, whole or not, into a folder beside the root, with one more ending."""
        with self._asked():
            self._store.move(self._path(name), f"{self._folder}.{ending}/{name}")

    def whole(self, name: str) -> bytes | None:
        """What an object holds; None where it is absent or not what its manifest says."""
        manifest = self._manifest(name)
        content = None if manifest is None else self.get(name)
        return content if content is not None and Manifest.of(content) == manifest else None

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where it is absent or not as large as its manifest says."""
        manifest = self._manifest(name)
        if manifest is None:
            return None
        with self._asked():
            info = self._store.get_file_info(self._path(name))
        return manifest.size if info.size == manifest.size else None

    def send(self, file: Path, name: str) -> None:
        """Copy a file into the store; what had its name counts no more as soon as this begins.

        Raises:
            FileNotFoundError: the file is gone.
        """
        with file.open("rb") as content:
            with self._asked(), suppress(FileNotFoundError):
                self._store.delete_file(self._path(name + _MANIFEST))
            with self._asked(), self._store.open_output_stream(self._path(name)) as copy:
                sent = _copied(content, copy)
        self.put(name + _MANIFEST, json.dumps(asdict(sent)).encode())

    def fetch(self, name: str, file: Path) -> bool:
        """Copy a whole object onto the disk; False where there is none."""
        manifest = self._manifest(name)
        if manifest is None:
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._asked(), suppress(FileNotFoundError):
            with (
                self._store.open_input_stream(self._path(name)) as content,
                file.open("wb") as copy,
            ):
                fetched = _copied(content, copy)
            if fetched == manifest:
                return True
        file.unlink(missing_ok=True)
        return False

    def _manifest(self, name: str) -> Manifest | None:
        content = self.get(name + _MANIFEST)
        try:
            return None if content is None else Manifest(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}" if name else self._folder

    @contextmanager
    def _asked(self, kind: type[Exception] = StoreError) -> Iterator[None]:
        """Whatever a client raises, as one line."""
        from pyarrow import ArrowException

        try:
            yield
        except (OSError, ArrowException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # of this machine's disk
            raise kind(masked(f"{self.root}: {_reason(error)}")) from None


def whole_names(names: Iterable[str]) -> list[str]:
    """Those of the names in a listing that have a manifest, sorted."""
    every = set(names)
    return sorted(name for name in every if name + _MANIFEST in every)


def _connected(root: str) -> tuple[Any, str]:
    """The client of a store, and the path that it has for the root."""
    from pyarrow import fs

    parts, shown = urlsplit(root), masked_value(root)
    if parts.scheme not in _SCHEMES:
        kinds = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise StudyError(f"{shown}: {parts.scheme}:// is no known store; {kinds} or a folder is")
    if shown != root:
        raise StudyError(
            f"{shown}: its URL has a secret in it, which files and reports would show; give"
            " credentials as the store's own tools take them (environment, profile)"
        )
    if not parts.netloc or not parts.path.strip("/"):
        raise StudyError(f"{root}: {parts.scheme}://BUCKET/FOLDER is needed")
    if parts.scheme in ("gs", "gcs") and "retry_limit_seconds" not in parts.query:
        # Its client would otherwise ask for 15 minutes before it says that nobody answers.
        root += ("&" if parts.query else "?") + "retry_limit_seconds=10"
    store, folder = fs.FileSystem.from_uri(root)
    if isinstance(store, fs.S3FileSystem):
        _, (options,) = store.__reduce__()
        tries = fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES)
        # A small file is one request in place of three, if it is opened when it is written.
        store = fs.S3FileSystem(**options | {"allow_delayed_open": True, "retry_strategy": tries})
    return store, folder.strip("/")


def _copied(source: IO[bytes], target: IO[bytes]) -> Manifest:
    size, digest = 0, hashlib.sha256()
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return Manifest(size, digest.hexdigest())


def _reason(error: Exception) -> str:
    said = str(error)
    for pattern, meaning in _REASONS:
        if re.search(pattern, said):
            return meaning
    first = said.splitlines()[0] if said else type(error).__name__
    return re.sub(r" \(Request ID: .*", "", first)
