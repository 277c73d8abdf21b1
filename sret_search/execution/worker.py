"""What a Ray worker runs: one attempt at one trial after the other, in a process that stays warm."""

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
from sret_search.execution.resources import CONTEXT
from sret_search.job import Contents, Job
from sret_search.trials.failures import DIED, MACHINE, MEMORY

_ATTEMPTS = 500
"""Attempts after which a process is replaced."""
_GROWTH = 2 * 2**30
"""Bytes that a process may hold beyond what it held after its first attempt."""
_POLL = 10.0
"""Seconds between two looks into an object store at whether the run is to stop."""


class Recycled(Exception):
    """Ends a process after an attempt that is over: Tune replaces the process of a trial that
    raises, and what became of the trial is read in its folder."""


def attempt_trial(config: dict[str, Any]) -> None:
    """Train the job of a trial in the folder of this attempt.

    The outcome, a failure included, is in that folder before this returns. A worker that dies
    leaves neither result nor error there, which is how the driver tells a death from a failure.

    Args:
        config: "job" (JSON), "attempt" (a folder, or a URL), "earlier" (those of earlier
            attempts), "checkpoint_every" and "step_timeout" (seconds), "gpus" (perhaps a share
            of one), "tensorboard" (whether to write event files), "until" (the epoch of a rung,
            or None), "contents" (what the data held when the run began, where that is known); "avoided"
            (nodes) is for Ray, which chooses where this runs.
    """
    from ray import tune

    folders = TrialFolders(str(config["root"]))
    if not folders.is_remote and not Path(config["attempt"]).is_dir():
        # Another machine, whose disk is not the driver's: what it would write is never found.
        tune.report({"unseen": encodable(f"{platform.node()} does not see {config['attempt']}")})
        return
    job = Job.from_dict(json.loads(config["job"]))
    models = job.recipe.trials_read
    with staging.attempt(config["attempt"], config["earlier"], models) as (path, earlier, upload):
        cause = _train(config, job, path, earlier, upload, _stop_asked(folders), tune.report)
    tune.report({"ended": True})
    # A process in which CUDA failed can train nothing more.
    if cause in (MEMORY, MACHINE) or _worn.after_attempt():
        raise Recycled


def _train(
    config: dict[str, Any],
    job: Job,
    attempt: Path,
    earlier: list[Path],
    upload: Callable[[], None],
    stopping: Callable[[], bool],
    report: Callable[[dict[str, Any]], None],
) -> str | None:
    """Train; the cause of a failure that could be told."""
    import torch

    from sret_search.training import files, train, watchdog

    events = None
    if config["tensorboard"]:
        from sret_search.execution.tensorboard import Events

        events = Events(attempt)

    def told(metrics: dict[str, Any]) -> None:
        if "saved" in metrics:
            upload()
            return
        if events is not None:
            events.epoch(metrics)
        report(metrics)

    try:
        files.write_json(attempt / WORKER, _here())
        upload()
        if 0 < config["gpus"] < 1:
            # Ray shares a GPU between trials, but bounds none of them; and CUDA itself takes a
            # part of each one's share.
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(config["gpus"] - CONTEXT / total)
        every, timeout = config["checkpoint_every"], config["step_timeout"]
        known = config.get("contents")
        contents = None if known is None else Contents.from_dict(known)
        train.train(
            job, attempt, told, earlier, every, timeout, stopping, config["until"], contents
        )
        upload()
    except Exception as error:
        kind, reason = watchdog.cause(error, job)
        if isinstance(error, StoreError):
            kind, reason = MACHINE, str(error)
        if kind == DIED:
            raise
        outcome = {"state": "failed", "cause": kind, "reason": reason, "job": job.identity}
        with suppress(OSError):  # on a full disk the driver finds neither, and waits for room
            trace = encodable(traceback.format_exc())
            (attempt / TRACEBACK).write_text(trace, encoding="utf-8")
            files.write_json(attempt / ERROR, outcome)
            upload()
        report({"failed": kind, "reason": reason})
        return kind
    finally:
        if events is not None:
            events.close()
    return None


def _here() -> dict[str, Any]:
    """Which process this is, and where."""
    import ray

    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
    return {"pid": os.getpid(), "host": platform.node(), "node": node}


def _stop_asked(folders: TrialFolders) -> Callable[[], bool]:
    """Whether the run is to stop. An object store is not asked each second."""
    if not folders.is_remote:
        return folders.stop_asked
    asked, answer = -math.inf, False

    def seldom() -> bool:
        nonlocal asked, answer
        if time.monotonic() - asked >= _POLL:
            asked = time.monotonic()
            with suppress(OSError):  # a store that does not answer asks for nothing
                answer = folders.stop_asked()
        return answer

    return seldom


class _Wear:
    """How much a process has been used."""

    def __init__(self) -> None:
        self.attempts = 0
        self.first = 0

    def after_attempt(self) -> bool:
        """Count an attempt; whether the process had better be replaced."""
        self.attempts += 1
        held = resident_bytes()
        self.first = self.first or held
        return self.attempts >= _ATTEMPTS or held - self.first > _GROWTH


_worn = _Wear()


def resident_bytes() -> int:
    """Memory that this process holds; its peak, where the system does not say more."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
