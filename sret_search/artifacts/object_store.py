"""Files in an object store. They are whole or absent, although a store cannot rename.

A file counts only after its manifest, which is written last and has its size and digest. An
interrupted upload leaves an object without a manifest, or with that of another content.
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
"""Requests to S3 before it counts as failing: some seconds without an answer."""
_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")

# Messages of the stores' clients, and their meaning. The first match counts.
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
    """A store does not answer, or refuses. The message is a line for the reader."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Size in bytes and SHA-256 (hexadecimal) of a whole object."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Manifest:
        return cls(len(content), hashlib.sha256(content).hexdigest())


def sibling_url(root: str, ending: str) -> str:
    """The URL of a folder with an ending added to its name. Parameters stay."""
    folder, mark, parameters = root.partition("?")
    return f"{folder.rstrip('/')}.{ending}{mark}{parameters}"


def parent_url(url: str, levels: int) -> str:
    """The URL of the folder `levels` levels up. Parameters stay."""
    folder, mark, parameters = url.partition("?")
    return f"{folder.rstrip('/').rsplit('/', levels)[0]}{mark}{parameters}"


class Objects:
    """The files under a URL, named by their path below it, with slashes.

    Raises:
        StudyError: the URL does not lead to a store, or holds a secret. Credentials come from the
            places where the store's tools find them.
        StoreError: in each method, the store does not answer, or refuses.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        with self._asked(StudyError):
            self._store, self._folder = _connected(root)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Size in bytes of every object in a folder, whole or not, by name."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._path(folder), allow_not_found=True, recursive=True)
        with self._asked():
            entries = self._store.get_file_info(selector)
        start = len(self._folder) + 1
        return {info.path[start:]: info.size for info in entries if info.type == FileType.File}

    def put(self, name: str, content: bytes) -> None:
        """Write an object without a manifest."""
        with self._asked(), self._store.open_output_stream(self._path(name)) as file:
            file.write(content)

    def get(self, name: str) -> bytes | None:
        """Content of an object, whole or not; None if it does not exist."""
        with self._asked(), suppress(FileNotFoundError):
            with self._store.open_input_stream(self._path(name)) as file:
                content: bytes = file.read()
            return content
        return None

    def remove(self, name: str) -> None:
        """Remove an object, its manifest first."""
        for path in (self._path(name + _MANIFEST), self._path(name)):
            with self._asked(), suppress(FileNotFoundError):
                self._store.delete_file(path)

    def move_beside(self, name: str, ending: str) -> None:
        """Move an object, whole or not, into the folder beside the root with an ending added."""
        with self._asked():
            self._store.move(self._path(name), f"{self._folder}.{ending}/{name}")

    def whole(self, name: str) -> bytes | None:
        """Content of an object; None if it is absent or differs from its manifest."""
        manifest = self._manifest(name)
        content = None if manifest is None else self.get(name)
        return content if content is not None and Manifest.of(content) == manifest else None

    def size(self, name: str) -> int | None:
        """Bytes of an object; None if it is absent or its size differs from its manifest."""
        manifest = self._manifest(name)
        if manifest is None:
            return None
        with self._asked():
            info = self._store.get_file_info(self._path(name))
        return manifest.size if info.size == manifest.size else None

    def send(self, file: Path, name: str) -> None:
        """Copy a file into the store. An earlier object of that name becomes invalid at once.

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
        """Copy a whole object to the disk; False if there is none."""
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
        """Turn any error of a client into a line for the reader."""
        from pyarrow import ArrowException

        try:
            yield
        except (OSError, ArrowException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # this machine's disk is full
            raise kind(masked(f"{self.root}: {_reason(error)}")) from None


def whole_names(names: Iterable[str]) -> list[str]:
    """Names in a listing that have a manifest, sorted."""
    every = set(names)
    return sorted(name for name in every if name + _MANIFEST in every)


def _connected(root: str) -> tuple[Any, str]:
    """The client of a store, and its path of the root."""
    from pyarrow import fs

    parts, shown = urlsplit(root), masked_value(root)
    if parts.scheme not in _SCHEMES:
        kinds = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise StudyError(
            f"{shown}: {parts.scheme}:// is not a known store; use {kinds}, or a folder"
        )
    if shown != root:
        raise StudyError(
            f"{shown}: the URL holds a secret, which files and reports would show; pass credentials"
            " in a way that the store's tools read (environment, profile)"
        )
    if not parts.netloc or not parts.path.strip("/"):
        raise StudyError(f"{root}: {parts.scheme}://BUCKET/FOLDER is needed")
    if parts.scheme in ("gs", "gcs") and "retry_limit_seconds" not in parts.query:
        # Otherwise its client asks for 15 minutes before it reports that nobody answers.
        root += ("&" if parts.query else "?") + "retry_limit_seconds=10"
    store, folder = fs.FileSystem.from_uri(root)
    if isinstance(store, fs.S3FileSystem):
        _, (options,) = store.__reduce__()
        tries = fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES)
        # Delayed opening writes a small file with one request instead of three.
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
    message = str(error)
    for pattern, meaning in _REASONS:
        if re.search(pattern, message):
            return meaning
    first = message.splitlines()[0] if message else type(error).__name__
    return re.sub(r" \(Request ID: .*", "", first)
