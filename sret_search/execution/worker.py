"""The work of a Ray worker: successive attempts at trials, in a process that stays alive."""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sret_search.artifacts import staging
from sret_search.artifacts.names import ERROR, TRACEBACK, WORKER
from sret_search.artifacts.object_store import StoreError
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.errors import encodable
from sret_search.execution import messages
from sret_search.execution.messages import (
    AttemptEnded,
    AttemptFailed,
    AttemptOrder,
    FolderUnseen,
    Report,
    WorkerProcess,
)
from sret_search.execution.resources import CONTEXT
from sret_search.job import Job
from sret_search.training.results import CheckpointSaved, EpochMetrics, Notice
from sret_search.trials.failures import DIED, MACHINE, MEMORY
from sret_search.trials.trial_result import error_content, failed
from sret_search.writing import write_json

_ATTEMPTS = 500
"""Attempts after which a process is replaced."""
_GROWTH = 2 * 2**30
"""Bytes by which the memory of a process may grow after its first attempt."""
_POLL = 10.0
"""Seconds between two checks in an object store whether the run is to stop."""


class Recycled(Exception):
    """Ends a process after a finished attempt.

    Tune replaces the process of a trial that raises. The outcome of the trial is read from its
    folder.
    """


def attempt_trial(config: dict[str, Any]) -> None:
    """Train the job of a trial in the folder of this attempt.

    The outcome, also a failure, is in that folder before this function returns. A worker that dies
    leaves neither result nor error there. So the driver distinguishes a death from a failure.

    Args:
        config: an `AttemptOrder`, as plain data.

    Raises:
        Recycled: the process must be replaced.
    """
    from ray import tune

    def report(message: Report) -> None:
        tune.report(messages.to_dict(message))

    order = AttemptOrder.from_dict(config)
    folders = TrialFolders(order.root)
    if not folders.is_remote and not Path(order.attempt).is_dir():
        # This is another machine, and the driver would never see what is written to its disk.
        report(FolderUnseen(encodable(f"{platform.node()} does not see {order.attempt}")))
        return
    job = Job.from_dict(json.loads(order.job))
    models = job.recipe.trials_read
    with staging.attempt(order.attempt, order.earlier, models) as (path, earlier, upload):
        cause = _train(order, job, path, earlier, upload, _stop_asked(folders), report)
    report(AttemptEnded())
    # A process in which CUDA failed cannot train again.
    if cause in (MEMORY, MACHINE) or _worn.after_attempt():
        raise Recycled


def _train(
    order: AttemptOrder,
    job: Job,
    attempt: Path,
    earlier: list[Path],
    upload: Callable[[], None],
    stopping: Callable[[], bool],
    report: Callable[[Report], None],
) -> str | None:
    """Train the job, and return the cause of a failure; None after a success."""
    import torch

    from sret_search.training import train, watchdog

    events = None
    if order.tensorboard:
        from sret_search.execution.tensorboard import Events

        events = Events(attempt)

    def take(progress: EpochMetrics | CheckpointSaved | Notice) -> None:
        if isinstance(progress, CheckpointSaved):
            upload()
            return
        if events is not None and isinstance(progress, EpochMetrics):
            events.epoch(progress)
        report(progress)

    try:
        write_json(attempt / WORKER, _here().to_dict())
        upload()
        if 0 < order.gpus < 1:
            # Ray shares a GPU between trials without limits. CUDA itself takes a part of each
            # share.
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(order.gpus - CONTEXT / total)
        every, timeout = order.checkpoint_every, order.step_timeout
        train.train(
            job, attempt, take, earlier, every, timeout, stopping, order.until, order.contents
        )
        upload()
    except Exception as error:
        kind, reason = watchdog.cause(error, job)
        if isinstance(error, StoreError):
            kind, reason = MACHINE, str(error)
        if kind == DIED:
            raise
        content = error_content(failed(kind, reason), job.identity)
        with suppress(OSError):  # on a full disk the driver finds neither file, and waits for space
            trace = encodable(traceback.format_exc())
            (attempt / TRACEBACK).write_text(trace, encoding="utf-8")
            write_json(attempt / ERROR, content)
            upload()
        report(AttemptFailed(kind, reason))
        return kind
    finally:
        if events is not None:
            events.close()
    return None


def _here() -> WorkerProcess:
    """This process."""
    import ray

    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
    return WorkerProcess(os.getpid(), platform.node(), node)


def _stop_asked(folders: TrialFolders) -> Callable[[], bool]:
    """A function that tells whether the run is to stop. It asks an object store less often."""
    if not folders.is_remote:
        return folders.stop_asked
    last_poll, answer = -math.inf, False

    def seldom() -> bool:
        nonlocal last_poll, answer
        if time.monotonic() - last_poll >= _POLL:
            last_poll = time.monotonic()
            with suppress(OSError):  # without an answer of the store the run continues
                answer = folders.stop_asked()
        return answer

    return seldom


class _Wear:
    """Use of a process: its attempts and the growth of its memory."""

    def __init__(self) -> None:
        self.attempts = 0
        self.first = 0

    def after_attempt(self) -> bool:
        """Count an attempt. Returns whether the process should be replaced."""
        self.attempts += 1
        held = resident_bytes()
        self.first = self.first or held
        return self.attempts >= _ATTEMPTS or held - self.first > _GROWTH


_worn = _Wear()


def resident_bytes() -> int:
    """Bytes of memory that this process holds, or its peak if the system gives no more."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
