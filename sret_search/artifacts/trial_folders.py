"""The folders of a study's trials, on a disk or in an object store, as a driver sees them.

`<root>/<trial>/attempt-<k>/` has what one worker wrote about a trial. Attempts are named by their
path or URL. Nothing here needs torch or Ray, so that reports can be made anywhere.
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

from sret_search.artifacts.backends import Disk, Place, Store
from sret_search.artifacts.names import WEIGHTS, WORKER
from sret_search.job.paths import is_url, trial_name
from sret_search.study import StudyError

_STOP = "stop"
_TRIAL = re.compile(r"\d{5,}")
_ATTEMPT = re.compile(r"attempt-[1-9]\d*")
CHECKPOINT = re.compile(r"checkpoint-\d+\.pt")


class TrialFolders:
    """The folders under one root.

    Args:
        root: a folder, or the URL of one: file:, s3:, gs: or abfss:.

    Attributes:
        root: an absolute path, or the URL.
        name: the same, for a reader.
        is_remote: whether it is in an object store.

    Raises:
        StudyError: the URL names no store, or has a secret in it.
        OSError: in each method, the disk or the store fails; a store with one line that a
            reader understands (StoreError).
        ValueError: an attempt that is not one of these folders, or a name with a slash.
    """

    def __init__(self, root: str) -> None:
        self.is_remote = is_url(root) and urlsplit(root).scheme != "file"
        self._place: Place = Store(root) if self.is_remote else Disk(root)
        self.root, self.name = self._place.root, self._place.name

    def check(self) -> None:
        """Leave a mark, look whether it is there, and take it away.

        Raises:
            StudyError: that is not possible, and why.
        """
        probe = f"check-{secrets.token_hex(4)}"
        try:
            self._place.mark(probe)
            found = self._place.is_marked(probe)
            self._place.remove(probe)
        except OSError as error:
            reason = f"{self.name}: {error.strerror}" if error.strerror else str(error)
            raise StudyError(reason) from None
        if not found:
            raise StudyError(
                f"storage.trials: {self.name}: what is written there is not found again"
            )

    def attempts(self, number: int) -> list[str]:
        """A trial's attempts, oldest first."""
        trial = trial_name(number)
        return self._listed(trial, self._place.attempts_at(trial))

    def all_attempts(self) -> dict[int, list[str]]:
        """The attempts of every trial that has one, oldest first, from one look."""
        found: dict[str, list[str]] = {}
        for trial, name in self._place.attempts():
            if _TRIAL.fullmatch(trial):
                found.setdefault(trial, []).append(name)
        listed = {int(trial): self._listed(trial, names) for trial, names in found.items()}
        return {number: names for number, names in sorted(listed.items()) if names}

    def new_attempt(self, number: int) -> str:
        """One more attempt at a trial: its own, also where several drivers ask at a time."""
        trial = trial_name(number)
        while True:
            last = max((_number(attempt) for attempt in self.attempts(number)), default=0)
            attempt = f"{trial}/attempt-{last + 1}"
            if self._place.claim(attempt):
                return self._place.at(attempt)

    def read_json(self, attempt: str, name: str) -> dict[str, Any] | None:
        """The object in a JSON file; None where that is absent, torn or damaged."""
        content = self._place.read(self._key(attempt, name))
        try:
            plain = None if content is None else json.loads(content)
        except ValueError:
            return None
        return plain if isinstance(plain, dict) else None

    def open(self, attempt: str, name: str) -> BinaryIO:
        """A file's content, to read it.

        Raises:
            FileNotFoundError: it is absent, or torn.
        """
        content = self._place.read(self._key(attempt, name))
        if content is None:
            raise FileNotFoundError(f"{attempt} has no {name}")
        return io.BytesIO(content)

    def exists(self, attempt: str, name: str) -> bool:
        """Whether a file is there, and whole."""
        return self._place.size(self._key(attempt, name)) is not None

    def size(self, attempt: str, name: str) -> int:
        """Bytes of a file; 0 where it is absent or torn."""
        return self._place.size(self._key(attempt, name)) or 0

    def remove(self, attempt: str, name: str) -> None:
        """Remove a file, if it is there."""
        self._place.remove(self._key(attempt, name))

    def has_begun(self, attempt: str) -> bool:
        """Whether a worker has started on an attempt."""
        return self.exists(attempt, WORKER)

    def checkpoints(self, attempt: str) -> list[str]:
        """The names of an attempt's whole checkpoints, by step. `stable.pt`, from which longer
        trainings go on, is none of them."""
        names = self._place.files(self._key(attempt))
        return sorted(name for name in names if CHECKPOINT.fullmatch(name))

    def unfinished(self, attempt: str) -> list[str]:
        """The names of files whose writing was cut short by a kill; on a disk only, since an
        object store has none."""
        return [name for name in self._place.files(self._key(attempt)) if name.endswith(".partial")]

    def weights(self, number: int) -> str | None:
        """A trial's newest attempt that has trained weights; None where none has."""
        having = (a for a in reversed(self.attempts(number)) if self.exists(a, WEIGHTS))
        return next(having, None)

    def ask_to_stop(self) -> None:
        """Ask all workers to stop."""
        self._place.mark(_STOP)

    def stop_asked(self) -> bool:
        """Whether workers are asked to stop."""
        return self._place.is_marked(_STOP)

    def clear_stop(self) -> None:
        """Ask for nothing any more."""
        self._place.remove(_STOP)

    def set_aside(self, ending: str) -> str | None:
        """Move everything to `<root>.<ending>`; its name for a reader, None if all was empty."""
        return self._place.set_aside(ending)

    def _listed(self, trial: str, names: Iterable[str]) -> list[str]:
        found = [(int(name[8:]), name) for name in names if _ATTEMPT.fullmatch(name)]
        return [self._place.at(f"{trial}/{name}") for _, name in sorted(found, key=itemgetter(0))]

    def _key(self, attempt: str, name: str | None = None) -> str:
        """Where something lies under the root: nothing that a caller gives leads out of it."""
        key = key_of(attempt)
        if attempt != self._place.at(key):
            raise ValueError(f"{attempt} is no attempt in {self.root}")
        if name is None:
            return key
        if name in ("", ".", "..") or "/" in name or os.sep in name:
            raise ValueError(f"{name!r} is no name of a file")
        return f"{key}/{name}"


def key_of(attempt: str) -> str:
    """The end of an attempt's path or URL: `<trial>/attempt-<k>`.

    Raises:
        ValueError: it is no attempt.
    """
    # The parameters of a URL stand behind it; a folder may have any character in its name.
    path = attempt.partition("?")[0] if is_url(attempt) else attempt
    trial, name = ["", "", *path.split("/")][-2:]
    if not _TRIAL.fullmatch(trial) or not _ATTEMPT.fullmatch(name):
        raise ValueError(f"{attempt} is no attempt at a trial")
    return f"{trial}/{name}"


def _number(attempt: str) -> int:
    return int(key_of(attempt).rpartition("-")[2])
