"""The folders of a study's trials, on a disk or in an object store, as a driver sees them.

`<root>/<trial>/attempt-<k>/` holds the files of one worker about a trial. Attempts are named by
their path or URL. The module needs neither torch nor Ray, so reports can be made anywhere.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from sret_search.artifacts.backends import Disk, Storage, Store
from sret_search.artifacts.names import WEIGHTS, WORKER
from sret_search.job.paths import is_url, trial_name
from sret_search.study import StudyError

_STOP = "stop"
_TRIAL = re.compile(r"\d{5,}")
_ATTEMPT = re.compile(r"attempt-[1-9]\d*")
CHECKPOINT = re.compile(r"checkpoint-\d+\.pt")


class TrialFolders:
    """The folders of trials below a root.

    Args:
        root: a folder, or a URL: file:, s3:, gs: or abfss:.

    Attributes:
        root: an absolute path, or the URL.
        name: the root, for messages.
        is_remote: whether it is in an object store.

    Raises:
        StudyError: the URL does not lead to a store, or holds a secret.
        OSError: in each method, the disk or the store fails. For a store it is a StoreError, with a
            line for the reader.
        ValueError: in each method, an attempt is not one of these folders, or a name has a slash.
    """

    def __init__(self, root: str) -> None:
        self.is_remote = is_url(root) and urlsplit(root).scheme != "file"
        self._storage: Storage = Store(root) if self.is_remote else Disk(root)
        self.root, self.name = self._storage.root, self._storage.name

    def check(self) -> None:
        """Write a mark, check that it exists, and remove it.

        Raises:
            StudyError: one of these steps fails; the message says why.
        """
        probe = f"check-{secrets.token_hex(4)}"
        try:
            self._storage.mark(probe)
            is_there = self._storage.is_marked(probe)
            self._storage.remove(probe)
        except OSError as error:
            reason = f"{self.name}: {error.strerror}" if error.strerror else str(error)
            raise StudyError(reason) from None
        if not is_there:
            raise StudyError(
                f"storage.trials: {self.name}: a file that was written there cannot be read"
            )

    def attempts(self, number: int) -> list[str]:
        """Attempts of a trial, oldest first."""
        trial = trial_name(number)
        return self._listed(trial, self._storage.attempts_at(trial))

    def all_attempts(self) -> dict[int, list[str]]:
        """Attempts of every trial that has any, oldest first, from a single listing."""
        names_by_trial: dict[str, list[str]] = {}
        for trial, name in self._storage.attempts():
            if _TRIAL.fullmatch(trial):
                names_by_trial.setdefault(trial, []).append(name)
        listed = {int(trial): self._listed(trial, names) for trial, names in names_by_trial.items()}
        return {number: names for number, names in sorted(listed.items()) if names}

    def new_attempt(self, number: int) -> str:
        """A new attempt at a trial. Drivers that ask at the same time get different attempts."""
        trial = trial_name(number)
        while True:
            last = max((_number(attempt) for attempt in self.attempts(number)), default=0)
            attempt = f"{trial}/attempt-{last + 1}"
            if self._storage.claim(attempt):
                return self._storage.at(attempt)

    def read_json(self, attempt: str, name: str) -> dict[str, Any] | None:
        """The object in a JSON file; None if the file is absent, incomplete or damaged."""
        content = self._storage.read(self._key(attempt, name))
        try:
            plain = None if content is None else json.loads(content)
        except ValueError:
            return None
        return plain if isinstance(plain, dict) else None

    def open(self, attempt: str, name: str) -> BinaryIO:
        """A file's content, open for reading.

        Raises:
            FileNotFoundError: it is absent, or incomplete.
        """
        content = self._storage.read(self._key(attempt, name))
        if content is None:
            raise FileNotFoundError(f"{attempt} has no {name}")
        return io.BytesIO(content)

    def exists(self, attempt: str, name: str) -> bool:
        """Whether a file exists and is whole."""
        return self._storage.size(self._key(attempt, name)) is not None

    def size(self, attempt: str, name: str) -> int:
        """Bytes of a file; 0 if it is absent or incomplete."""
        return self._storage.size(self._key(attempt, name)) or 0

    def remove(self, attempt: str, name: str) -> None:
        """Remove a file, if it exists."""
        self._storage.remove(self._key(attempt, name))

    def has_begun(self, attempt: str) -> bool:
        """Whether a worker has started on an attempt."""
        return self.exists(attempt, WORKER)

    def checkpoints(self, attempt: str) -> list[str]:
        """Names of an attempt's whole checkpoints, by step. `stable.pt`, for longer trainings, is
        not among them."""
        names = self._storage.files(self._key(attempt))
        return sorted(name for name in names if CHECKPOINT.fullmatch(name))

    def unfinished(self, attempt: str) -> list[str]:
        """Names of files whose writing was interrupted. Only a disk has such files."""
        return [
            name for name in self._storage.files(self._key(attempt)) if name.endswith(".partial")
        ]

    def weights(self, number: int) -> str | None:
        """The newest attempt of a trial that has trained weights; None if there is none."""
        with_weights = (a for a in reversed(self.attempts(number)) if self.exists(a, WEIGHTS))
        return next(with_weights, None)

    def ask_to_stop(self) -> None:
        """Ask all workers to stop."""
        self._storage.mark(_STOP)

    def stop_asked(self) -> bool:
        """Whether workers are asked to stop."""
        return self._storage.is_marked(_STOP)

    def clear_stop(self) -> None:
        """Withdraw the request to stop."""
        self._storage.remove(_STOP)

    def set_aside(self, ending: str) -> str | None:
        """Move everything to `<root>.<ending>`. Returns its name for messages, or None if there was
        nothing."""
        return self._storage.set_aside(ending)

    def _listed(self, trial: str, names: Iterable[str]) -> list[str]:
        numbered = [(int(name[8:]), name) for name in names if _ATTEMPT.fullmatch(name)]
        return [
            self._storage.at(f"{trial}/{name}") for _, name in sorted(numbered, key=itemgetter(0))
        ]

    def _key(self, attempt: str, name: str | None = None) -> str:
        """The key of an attempt or its file. No argument can lead out of the root."""
        key = attempt_key(attempt)
        if attempt != self._storage.at(key):
            raise ValueError(f"{attempt} is not an attempt in {self.root}")
        if name is None:
            return key
        if name in ("", ".", "..") or "/" in name or os.sep in name:
            raise ValueError(f"{name!r} is not a file name")
        return f"{key}/{name}"


def attempt_key(attempt: str) -> str:
    """The end of an attempt's path or URL: `<trial>/attempt-<k>`.

    Raises:
        ValueError: the path or URL has no such end.
    """
    # A URL has its parameters at the end. A folder may have any character in its name.
    path = attempt.partition("?")[0] if is_url(attempt) else attempt
    trial, name = ["", "", *path.split("/")][-2:]
    if not _TRIAL.fullmatch(trial) or not _ATTEMPT.fullmatch(name):
        raise ValueError(f"{attempt} is not an attempt at a trial")
    return f"{trial}/{name}"


def _number(attempt: str) -> int:
    return int(attempt_key(attempt).rpartition("-")[2])
