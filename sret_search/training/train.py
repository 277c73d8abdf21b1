"""Train one candidate: a plain function of a job, with a callable to report to."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sret_search.job import Job, train_macs
from sret_search.training import distributed, files, health
from sret_search.training.distributed import ALONE, Rank
from sret_search.training.finish import finish, record_depth
from sret_search.training.health import Diverged
from sret_search.training.names import DEPTH, RESULT
from sret_search.training.trainer import Trainer

Report = Callable[[dict[str, Any]], None]


def train(
    job: Job,
    attempt: Path,
    report: Report,
    earlier_attempts: Sequence[Path] = (),
    checkpoint_every: float = 600.0,
    step_timeout: float = 1800.0,
) -> dict[str, Any]:
    """Train a candidate to its end and write its result into the folder of this attempt.

    Continues from the furthest checkpoint of `earlier_attempts`, to the same last bit as a
    training that was never stopped. `report` is called after each epoch with its metrics.

    Args:
        checkpoint_every: seconds between checkpoints in the middle of an epoch; one is also
            written after each epoch.
        step_timeout: seconds without a finished step after which the process ends itself.

    Returns:
        The content of `result.json`: `state` is "complete" or "diverged"; accuracies are
        fractions, losses mean cross-entropies in nats, `seconds` the time spent in all
        attempts, `train_macs` the multiply-adds. `predictions.npz` has the class chosen for
        each test image.
    """
    attempt.mkdir(parents=True, exist_ok=True)
    arguments = (job, attempt, earlier_attempts, checkpoint_every, step_timeout)
    if job.processes > 1:
        return distributed.launch(train_as, arguments, job.processes, job.device, attempt, report)
    return train_as(ALONE, report, *arguments)


def train_as(
    rank: Rank,
    report: Report,
    job: Job,
    attempt: Path,
    earlier_attempts: Sequence[Path],
    checkpoint_every: float,
    step_timeout: float,
) -> dict[str, Any]:
    """What each process of a training does; the first one writes and reports."""
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(job.deterministic)
    with health.watched(attempt, step_timeout) as beat:
        trainer = Trainer(job, attempt.parent.parent, rank)
        times = trainer.times
        checkpoint = files.newest_checkpoint([*earlier_attempts, attempt], job, times.stable_until)
        if checkpoint is not None:
            trainer.load_state_dict(checkpoint)
        saved = time.monotonic()
        try:
            while not trainer.has_ended:
                for _ in trainer.steps():
                    beat()
                    # The last step before a decay, from where a longer training goes on.
                    last_stable = trainer.step == times.stable_until < times.total
                    late = rank.agree(time.monotonic() - saved > checkpoint_every)
                    if late or (last_stable and trainer.can_go_on):
                        trainer.save(attempt)
                        saved = time.monotonic()
                metrics = trainer.end_epoch()
                if job.monitor and rank.is_first:
                    trainer.depths.append(record_depth(trainer))
                    files.write_json(attempt / DEPTH, trainer.depths)
                trainer.save(attempt)
                saved = time.monotonic()
                if rank.is_first:
                    report(metrics)
            result = {"state": "complete", **finish(trainer, attempt, beat)}
        except Diverged as diverged:
            result = {"state": "diverged", "reason": str(diverged), "step": diverged.step}
    result |= {
        "job": job.identity,
        "epochs": _whole(trainer.step / times.epoch),
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "train_macs": train_macs(job.architecture, job.recipe, len(trainer.split.train)),
        "history": trainer.history,
        "environment": environment(),
    }
    if rank.is_first:
        files.write_json(attempt / RESULT, result)
    return result


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else round(number, 3)


def environment() -> dict[str, Any]:
    """What a result's last bits may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
