"""Files that are whole or absent, whatever is killed when; and what a trial keeps in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import torch

_KEPT = 2


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write beside the target, force it to disk, then rename: readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Any) -> None:
    """Write plain data, whole or not at all."""
    write_whole(path, lambda file: file.write(json.dumps(content, indent=1).encode()))


def save_checkpoint(attempt: Path, epoch: int, state: dict[str, Any]) -> None:
    """Save the state after `epoch`, and keep only the newest checkpoints of the attempt."""
    write_whole(attempt / f"checkpoint-{epoch:05d}.pt", lambda file: torch.save(state, file))
    for old in sorted(attempt.glob("checkpoint-*.pt"))[:-_KEPT]:
        old.unlink()


def newest_checkpoint(attempts: Sequence[Path], job: str) -> dict[str, Any] | None:
    """The furthest readable checkpoint of a job in several attempts; None where there is none."""
    found = [path for attempt in attempts for path in attempt.glob("checkpoint-*.pt")]
    for path in sorted(found, key=lambda path: path.name, reverse=True):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # noqa: BLE001  a file damaged in any way is as good as absent
            continue
        if state.get("job") == job:
            return state
    return None
