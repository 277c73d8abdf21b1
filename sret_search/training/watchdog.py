"""Reasons that end a training early, each with its cause."""

from __future__ import annotations

import faulthandler
import math
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from sret_search import importing
from sret_search.artifacts.names import HANG
from sret_search.cost import train_memory
from sret_search.errors import encodable
from sret_search.job import Job
from sret_search.job.disk import checkpoint_bytes
from sret_search.training.causes import machine_failure
from sret_search.training.data import DataError
from sret_search.training.distributed import RankDied
from sret_search.training.pretrained import PretrainedError
from sret_search.units import size_text
from sret_search.writing import full_disk

_MEMORY = re.compile(
    r"allocate memory|CUDA (driver )?error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
)
"""Messages of torch for a lack of memory that has no class."""


class Diverged(Exception):
    """The loss is not finite."""

    def __init__(self, step: int, epoch: int, loss: float) -> None:
        super().__init__(f"the loss became {loss} at step {step} (epoch {epoch})")
        self.step = step


@contextmanager
def watched(attempt: Path, seconds: float) -> Iterator[Callable[[], None]]:
    """Watch a training: `beat` must be called at least every `seconds` seconds.

    Otherwise the process is ended, and its stacks are written to the attempt's folder. It counts as
    a worker that died, and its trial goes on.

    Yields:
        `beat`.
    """
    path = attempt / HANG
    beaten = -math.inf
    with path.open("w") as file:

        def beat() -> None:
            nonlocal beaten
            if time.monotonic() - beaten > min(1.0, seconds / 10):
                faulthandler.dump_traceback_later(seconds, exit=True, file=file)
                beaten = time.monotonic()

        beat()
        try:
            yield beat
        finally:
            faulthandler.cancel_dump_traceback_later()
            path.unlink(missing_ok=True)  # processes of the same training share the file


def cause(error: Exception, job: Job) -> tuple[str, str]:
    """The kind of a failure, and a line for the reader that any file can store."""
    kind, reason = _cause(error, job)
    return kind, encodable(reason)


def _cause(error: Exception, job: Job) -> tuple[str, str]:
    if isinstance(error, RankDied):
        return "worker died", str(error)
    machine = machine_failure(error)
    if isinstance(error, DataError | PretrainedError) and machine is None:
        return "data", str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and _MEMORY.search(str(error))
    ):
        return "out of memory", f"out of memory; {_what_would_fit(job)}"
    if (full := full_disk(error)) is not None:
        return "disk full", _what_would_be_written(full, job)
    if machine is not None:
        return "machine", f"{machine}, on {platform.node()}"
    return "error", importing.summary(error)


def _what_would_be_written(error: OSError, job: Job) -> str:
    text = f"disk full: {error.strerror}"
    folder = Path(error.filename).parent if error.filename else None
    if folder is not None and folder.is_dir():
        text += f" in {folder}, which has {size_text(shutil.disk_usage(folder).free)} free"
    return f"{text}; a checkpoint takes {size_text(checkpoint_bytes(job.architecture, job.recipe))}"


def _what_would_fit(job: Job) -> str:
    a, recipe = job.architecture, job.recipe
    batch, through = recipe.images_at_once(job.processes), recipe.depth_training.through
    kept, least = (train_memory(a, batch, budget, through).total for budget in (math.inf, 0))
    text = f"a step on {batch} images is estimated at {kept / 1e9:.2f} GB"
    text += f", {least / 1e9:.2f} GB if all activations are recomputed"
    half = max(batch // 2, 1)
    if half < batch:
        fewer = train_memory(a, half, 0, through).total
        text += (
            f", {fewer / 1e9:.2f} GB on {half} images (recipe.accumulate: {2 * recipe.accumulate})"
        )
    if recipe.precision == "float32":
        text += "; recipe.precision: bf16 halves the activations"
    return text
