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
        config: "job" (JSON), "attempt" (a folder), "earlier" (folders of earlier attempts),
            "checkpoint_every" and "step_timeout" (seconds), "gpus" (perhaps a share of one).
    """
    import torch
    from ray import tune

    from sret_search.training import files, health, train

    attempt = Path(config["attempt"])
    files.write_json(attempt / WORKER, {"pid": os.getpid()})
    job = Job.from_dict(json.loads(config["job"]))
    try:
        if 0 < config["gpus"] < 1:
            # Ray shares a GPU between trials, but bounds none of them.
            torch.cuda.set_per_process_memory_fraction(config["gpus"])
        train.train(
            job,
            attempt,
            tune.report,
            [Path(path) for path in config["earlier"]],
            config["checkpoint_every"],
            config["step_timeout"],
        )
    except Exception as error:
        (attempt / TRACEBACK).write_text(traceback.format_exc())
        kind, reason = health.cause(error, job)
        if kind == "worker died":
            raise
        outcome = {"state": "failed", "cause": kind, "reason": reason, "job": job.identity}
        files.write_json(attempt / ERROR, outcome)
    tune.report({"ended": True})
