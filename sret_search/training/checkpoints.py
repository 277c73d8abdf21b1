"""Checkpoints of a trial: written, kept, deleted, and read again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from sret_search.artifacts.names import KEPT, STABLE
from sret_search.errors import encodable
from sret_search.job import Job
from sret_search.writing import write_whole


def save_checkpoint(attempt: Path, state: dict[str, Any]) -> None:
    """Save a training after some steps, and delete checkpoints that are no longer needed.

    The trial keeps its newest checkpoints, and the last one from which a longer training could go
    on. All attempts of a trial share these. A worker that was given up may still write into its
    attempt: it ignores files that another attempt deleted, and never deletes files of a later
    attempt.
    """
    path = attempt / f"checkpoint-{state['step']:08d}.pt"
    write_whole(path, lambda file: torch.save(state, file))
    if state["can_go_on"]:
        with suppress(FileNotFoundError):
            _link_whole(path, attempt / STABLE)
            for old in _up_to(attempt, STABLE)[:-1]:
                old.unlink(missing_ok=True)
    # The training went on from the furthest readable checkpoint. Checkpoints further on are damaged
    # or from a worker that was given up. They are deleted first, never this one in their place.
    known = _up_to(attempt, "checkpoint-*.pt")
    known.sort(key=lambda file: (file.name <= path.name, file.name))
    for old in known[:-KEPT]:
        old.unlink(missing_ok=True)


def _up_to(attempt: Path, pattern: str) -> list[Path]:
    """Files of a trial's attempts, from the first attempt to this one."""
    earlier = [
        a for a in attempt.parent.glob("attempt-*") if attempt_number(a) < attempt_number(attempt)
    ]
    attempts = [*sorted(earlier, key=attempt_number), attempt]
    return [file for folder in attempts for file in folder.glob(pattern)]


def attempt_number(attempt: Path) -> int:
    """Number of an attempt within its trial; 0 for a folder with another name."""
    number = attempt.name.removeprefix("attempt-")
    return int(number) if number.isdecimal() else 0


def _link_whole(path: Path, link: Path) -> None:
    """Give a file a second name; on disks without hard links, copy it."""
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
    """The furthest undamaged checkpoint of a job in several attempts; None if there is none.

    A checkpoint of another job counts if this job takes the same path up to it: both differ only in
    their duration, and neither has begun its decay. Of equally far checkpoints, that of the last
    attempt counts.

    Args:
        steps: the step at which this job's decay begins.
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
    """The last checkpoint of the job with this identity, if it exists undamaged; None otherwise."""
    return _furthest(attempts, lambda state: state["job"] == identity)


def _furthest(
    attempts: Sequence[Path], fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    checkpoints: list[tuple[int, int, Path]] = []
    for place, attempt in enumerate(attempts):
        for path in attempt.glob("*.pt"):
            # A damaged file counts as absent.
            with suppress(Exception):
                state = _load(path, mmap=True)
                if fits(state):
                    checkpoints.append((state["step"], place, path))
    for *_, path in sorted(checkpoints, reverse=True):
        if _is_whole(path):
            return _load(path)
    return None


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint agrees with its checksums. torch does not compare them, and reads wrong
    numbers from a damaged file."""
    try:
        with ZipFile(path) as parts:
            return parts.testzip() is None
    except Exception:  # noqa: BLE001  damage may raise anything
        return False


def _load(path: Path, mmap: bool = False) -> dict[str, Any]:
    # torch cannot map files whose name is not UTF-8.
    mmap = mmap and encodable(str(path)) == str(path)
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    return state
