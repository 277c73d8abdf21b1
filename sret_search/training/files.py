"""Files that are whole or absent, whatever is killed when; and what a trial keeps in them."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import torch

from sret_search.artifacts.names import KEPT, STABLE
from sret_search.errors import encodable
from sret_search.job import Job
from sret_search.training.causes import chain

_BLOCK = 2**16
"""Bytes that are never free on a disk to which a large file could not be written."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write beside the target, force it to disk, then rename: readers see all of it or nothing.

    Raises:
        OSError: it cannot be written, and nothing is left of it. Where the disk is full, or the
            user's part of it, errno says so, whatever the writer made of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except Exception as error:
        full = _why_full(error, path.parent)
        with suppress(OSError):
            partial.unlink()
        if full is not None:
            raise OSError(full, os.strerror(full), str(path)) from error
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def full_disk(error: BaseException) -> OSError | None:
    """The system's word that a disk is full, if that is what an error comes from."""
    for behind in chain(error):
        if isinstance(behind, OSError) and behind.errno in (errno.ENOSPC, errno.EDQUOT):
            return behind
    return None


def _why_full(error: Exception, folder: Path) -> int | None:
    """The errno of a full disk, or of a user's full part of it; None where there is room."""
    told = full_disk(error)
    if told is not None:
        return told.errno
    # torch raises an error of its own, and not in every case beside that of the system.
    writing = isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < _BLOCK
    return errno.ENOSPC if writing else None


def write_json(path: Path, content: Any) -> None:
    """Write plain data, whole or not at all."""
    write_whole(path, lambda file: file.write(json.dumps(content, indent=1).encode()))


def save_checkpoint(attempt: Path, state: dict[str, Any]) -> None:
    """Save a training after some steps, and keep only the trial's newest checkpoints, and the
    last one from which a longer training could go on.

    A trial's attempts lie beside each other, and share what is kept. Those of a worker that
    nobody waits for any more may still write theirs: nothing here minds what another takes away,
    and no attempt takes anything from a later one.
    """
    path = attempt / f"checkpoint-{state['step']:08d}.pt"
    write_whole(path, lambda file: torch.save(state, file))
    if state["can_go_on"]:
        with suppress(FileNotFoundError):
            _link_whole(path, attempt / STABLE)
            for old in _up_to(attempt, STABLE)[:-1]:
                old.unlink(missing_ok=True)
    # The training went on from the furthest that could be read, so what is further is damaged,
    # or of a worker that nobody waits for: it goes first, and never in this one's stead.
    known = _up_to(attempt, "checkpoint-*.pt")
    known.sort(key=lambda file: (file.name <= path.name, file.name))
    for old in known[:-KEPT]:
        old.unlink(missing_ok=True)


def _up_to(attempt: Path, pattern: str) -> list[Path]:
    """Files of a trial's attempts, from the first one to this."""
    earlier = [
        a for a in attempt.parent.glob("attempt-*") if attempt_number(a) < attempt_number(attempt)
    ]
    attempts = [*sorted(earlier, key=attempt_number), attempt]
    return [file for each in attempts for file in each.glob(pattern)]


def attempt_number(attempt: Path) -> int:
    """Which attempt of its trial this is; a folder with another name stands alone."""
    number = attempt.name.removeprefix("attempt-")
    return int(number) if number.isdecimal() else 0


def _link_whole(path: Path, link: Path) -> None:
    """Give a file a second name, or a second file where the disk knows no such names."""
    partial = link.with_name(link.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:
        with path.open("rb") as content:
            write_whole(link, lambda file: shutil.copyfileobj(content, file))
    else:
        partial.replace(link)


def newest_checkpoint(attempts: Sequence[Path], job: Job, steps: int) -> dict[str, Any] | None:
    """The furthest undamaged checkpoint of a job in several attempts; None where there is none.

    That of another job counts where this one takes the same path until after it: where both
    differ only in their duration, and neither has begun its decay, which is this one's after
    `steps`. Of equally far ones, that of the last attempt counts.
    """
    return _furthest(
        attempts,
        lambda state: (
            state["job"] == job.identity
            or (
                state["can_go_on"]
                and state["trajectory"] == job.trajectory
                and state["step"] <= steps
            )
        ),
    )


def last_checkpoint(attempts: Sequence[Path], identity: str) -> dict[str, Any] | None:
    """What the job of this identity ended with, if it is there and undamaged."""
    return _furthest(attempts, lambda state: state["job"] == identity)


def _furthest(
    attempts: Sequence[Path], fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    found: list[tuple[int, int, Path]] = []
    for place, attempt in enumerate(attempts):
        for path in attempt.glob("*.pt"):
            # A file damaged in any way is as good as absent.
            with suppress(Exception):
                state = _load(path, mmap=True)
                if fits(state):
                    found.append((state["step"], place, path))
    for *_, path in sorted(found, reverse=True):
        if _is_whole(path):
            return _load(path)
    return None


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint has its checksums. Torch compares none: from a damaged file it reads
    numbers that nobody wrote."""
    try:
        with ZipFile(path) as parts:
            return parts.testzip() is None
    except Exception:  # noqa: BLE001  whatever is damaged, and however
        return False


def _load(path: Path, mmap: bool = False) -> dict[str, Any]:
    # Torch maps no file whose name is not UTF-8.
    mmap = mmap and encodable(str(path)) == str(path)
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    return state
