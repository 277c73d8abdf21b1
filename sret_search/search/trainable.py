"""What a Ray worker runs: one attempt at one trial."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

from sret_search.job import Job
from sret_search.training.names import ERROR, TRACEBACK, WORKER


def attempt_trial(config: dict[str, Any]) -> None:
    """Train the job of a trial in the folder of this attempt.

    The outcome, a failure included, is in that folder before this returns. A worker that dies
    leaves neither result nor error there, which is how the driver tells a death from a failure.

    Args:
        config: "job" (JSON), "attempt" (a folder), "earlier" (folders of earlier attempts).
    """
    from ray import tune

    from sret_search.training import files, train

    attempt = Path(config["attempt"])
    files.write_json(attempt / WORKER, {"pid": os.getpid()})
    job = Job.from_dict(json.loads(config["job"]))
    try:
        train.train(job, attempt, tune.report, [Path(path) for path in config["earlier"]])
    except Exception as error:  # noqa: BLE001  recorded, and told by the driver
        (attempt / TRACEBACK).write_text(traceback.format_exc())
        outcome = {"state": "failed", "reason": _reason(error), "job": job.identity}
        files.write_json(attempt / ERROR, outcome)
    tune.report({"ended": True})


def _reason(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    out_of_memory = isinstance(error, MemoryError) or "out of memory" in str(error).lower()
    allocator = "can't allocate memory" in str(error)
    return f"out of memory ({text})" if out_of_memory or allocator else text
