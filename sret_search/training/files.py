"""Files that are whole or absent, whatever is killed when; and what a trial keeps in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import torch

from sret_search.job import Job

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


def save_checkpoint(attempt: Path, state: dict[str, Any]) -> None:
    """Save a training after some steps, and keep only the attempt's newest checkpoints, and the
    last one from which a longer training could go on."""
    path = attempt / f"checkpoint-{state['step']:08d}.pt"
    write_whole(path, lambda file: torch.save(state, file))
    if state["can_go_on"]:
        stable = attempt / "stable.pt"
        stable.unlink(missing_ok=True)
        os.link(path, stable)
    for old in sorted(attempt.glob("checkpoint-*.pt"))[:-_KEPT]:
        old.unlink()


def newest_checkpoint(attempts: Sequence[Path], job: Job, steps: int) -> dict[str, Any] | None:
    """The furthest readable checkpoint of a job in several attempts; None where there is none.

    That of another job counts where this one takes the same path until after it: where both
    differ only in their duration, and neither has begun its decay, which is this one's after
    `steps`.
    """
    found = [path for attempt in attempts for path in attempt.glob("*.pt")]
    best: tuple[int, Path] | None = None
    for path in found:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            fits = state["job"] == job.identity or (
                state["can_go_on"]
                and state["trajectory"] == job.trajectory
                and state["step"] <= steps
            )
        except Exception:  # noqa: BLE001  a file damaged in any way is as good as absent
            continue
        if fits and (best is None or state["step"] > best[0]):
            best = state["step"], path
    if best is None:
        return None
    newest: dict[str, Any] = torch.load(best[1], map_location="cpu", weights_only=True)
    return newest
