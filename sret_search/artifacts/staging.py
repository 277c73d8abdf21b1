"""The folder in which a worker trains: the attempt's folder, or scratch space for an object store.

Training needs a disk. An attempt in a store gets a folder of the same layout,
`<scratch>/<trial>/attempt-<k>/`, with the checkpoints to go on from. New files are sent after each
checkpoint, and the folder is removed at the end. TMPDIR chooses its disk.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sret_search.artifacts.names import ERROR, KEPT, RESULT, RUNG, STABLE, WEIGHTS
from sret_search.artifacts.object_store import Objects, StoreError, parent_url, whole_names
from sret_search.artifacts.trial_folders import CHECKPOINT, attempt_key
from sret_search.job.paths import is_url, trial_name

_PATIENCE = 600.0
"""Seconds of failures of a store, after which the attempt fails."""
_PAUSE = 5.0
"""Seconds between two tries, when only sending is left."""

_PREFIX = "sret-scratch-"


@contextmanager
def attempt(
    attempt: str, earlier: Sequence[str], models: Iterable[int] = ()
) -> Iterator[tuple[Path, list[Path], Callable[[], None]]]:
    """Work at an attempt, in a folder on this machine's disk.

    Args:
        attempt: path or URL of the attempt's folder.
        earlier: paths or URLs of the attempts that it may continue.
        models: trials whose weights it starts from or learns from, as "trial N".

    Yields:
        The attempt's folder, the folders of the earlier attempts, and a function that sends new
        files. It is to be called after each checkpoint and at the end. If the store fails, the next
        call tries again, and the end of the context tries for ten minutes.

    Raises:
        StoreError: the store does not return its files, or has failed for ten minutes.
    """
    if not is_url(attempt):
        yield Path(attempt), [Path(folder) for folder in earlier], _nothing
        return
    with _scratch() as scratch:
        objects = Objects(parent_url(attempt, 2))
        this, keys = attempt_key(attempt), [attempt_key(folder) for folder in earlier]
        for trial in {key.partition("/")[0] for key in keys}:
            _fetch_checkpoints(objects, trial, keys, scratch)
        for number in models:
            _fetch_weights(objects, number, scratch)
        for key in (this, *keys):
            (scratch / key).mkdir(parents=True, exist_ok=True)
        sending = _Sending(objects, this, scratch / this)
        try:
            yield scratch / this, [scratch / key for key in keys], sending.send
        except BaseException:
            with suppress(StoreError):
                sending.send_new()
            raise
        sending.finish()


def _nothing() -> None:
    """Do nothing: on a disk all files are in their folder already."""


def _fetch_checkpoints(objects: Objects, trial: str, keys: Sequence[str], scratch: Path) -> None:
    """Fetch the checkpoints from which a trial can go on: the newest whole full checkpoint, and the
    newest whole one for longer trainings."""
    whole = [n for n in whole_names(objects.sizes(trial)) if n.rpartition("/")[0] in keys]
    full = [name for name in whole if _is_checkpoint(name)]
    stable = [name for name in whole if name.endswith(f"/{STABLE}")]
    for names in (full, stable):
        newest_first = sorted(names, key=lambda n: (n.rpartition("/")[2], _number(n)), reverse=True)
        any(objects.fetch(name, scratch / name) for name in newest_first)


def _fetch_weights(objects: Objects, number: int, scratch: Path) -> None:
    """Fetch the weights of the newest attempt of a trial that has them."""
    names = [n for n in whole_names(objects.sizes(trial_name(number))) if n.endswith(f"/{WEIGHTS}")]
    any(objects.fetch(n, scratch / n) for n in sorted(names, key=_number, reverse=True))


def _is_checkpoint(name: str) -> bool:
    return CHECKPOINT.fullmatch(name.rpartition("/")[2]) is not None


def _number(name: str) -> int:
    """Number of the attempt that a file belongs to."""
    return int(name.split("/")[1].rpartition("-")[2])


class _Sending:
    """Transfer of an attempt's files into the store, each time they change."""

    def __init__(self, objects: Objects, key: str, folder: Path) -> None:
        self._objects, self._key, self._folder = objects, key, folder
        self._sent: dict[str, tuple[int, int, int]] = {}
        self._failing_since: float | None = None
        listed = objects.sizes(key.partition("/")[0])
        before = {name for name in listed if _number(name) < _number(key)}
        whole = set(whole_names(before))
        self._checkpoints = {name: name in whole for name in before if _is_checkpoint(name)}
        """Full checkpoints of this trial, and whether they are whole."""
        self._stable = {name for name in before if name.endswith(f"/{STABLE}")}

    def send(self) -> None:
        """Send new files.

        Raises:
            StoreError: the store has failed in all calls for ten minutes.
        """
        try:
            self.send_new()
            self._failing_since = None
        except StoreError:
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if now - self._failing_since > _PATIENCE:
                raise

    def finish(self) -> None:
        """Send the remaining files, and try again if the store fails.

        Raises:
            StoreError: the store has failed for ten minutes.
        """
        start = time.monotonic()
        while True:
            try:
                return self.send_new()
            except StoreError:
                if time.monotonic() - start > _PATIENCE:
                    raise
                time.sleep(_PAUSE)

    def send_new(self) -> None:
        """Send new and changed files. Outcomes come last, since they end the attempt.

        Raises:
            StoreError: the store fails. Files that were sent before are not sent again.
        """
        files = (file for file in self._folder.rglob("*") if file.is_file())
        names = [str(file.relative_to(self._folder)) for file in files]
        outcomes = RESULT, ERROR, RUNG
        for name in sorted(names, key=lambda name: (name.startswith(outcomes), name)):
            # Meanwhile a training in several processes goes on, and removes old checkpoints.
            with suppress(FileNotFoundError):
                about = (self._folder / name).stat()
                state = (about.st_mtime_ns, about.st_size, about.st_ino)
                # An empty file, such as that for the stacks of a hang, has no message.
                if name.endswith(".partial") or not about.st_size or self._sent.get(name) == state:
                    continue
                self._objects.send(self._folder / name, f"{self._key}/{name}")
                self._sent[name] = state
                self._remove_older(f"{self._key}/{name}")

    def _remove_older(self, sent: str) -> None:
        """Remove the files that a new checkpoint makes superfluous, as on a disk."""
        name = sent.rpartition("/")[2]
        if name == STABLE:
            for old in self._stable:
                self._objects.remove(old)
            self._stable = set()
        if _is_checkpoint(sent):
            self._checkpoints[sent] = True
            # The training went on from the furthest whole checkpoint. Checkpoints further on are
            # from a worker that was given up.
            step = {key: key.rpartition("/")[2] for key in self._checkpoints}
            known = sorted(step, key=lambda k: (self._checkpoints[k], step[k] <= name, step[k]))
            for old in known[:-KEPT]:
                self._objects.remove(old)
                del self._checkpoints[old]


@contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary folder, removed at the end. It also removes folders of killed workers."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (left / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"new-{_PREFIX}"))
    with (made / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Other workers look for the final name, and a folder gets it only when it is locked.
        folder = made.rename(made.with_name(made.name.removeprefix("new-")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
