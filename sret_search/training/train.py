"""Train one candidate: a plain function of a job, with a callable to report to."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sret_search.artifacts.names import DEPTH, RESULT, RUNG
from sret_search.job import Contents, Job, train_macs
from sret_search.training import distributed, files, watchdog
from sret_search.training.distributed import ALONE, Rank
from sret_search.training.final_evaluation import finish, record_depth
from sret_search.training.pretrained import PretrainedError
from sret_search.training.results import (
    CheckpointSaved,
    Divergence,
    EpochMetrics,
    FinalEvaluation,
    TrainingAtRung,
    TrainingResult,
    TrainingStopped,
)
from sret_search.training.trainer import Trainer
from sret_search.training.watchdog import Diverged

Report = Callable[[EpochMetrics | CheckpointSaved], None]

_ASKED_AFTER = 1.0
"""Seconds between two questions whether to stop: an answer may cost more than a step."""


class _Stopped(Exception):
    """The training was asked to stop, and what it has done is in a checkpoint."""


def train(
    job: Job,
    attempt: Path,
    report: Report,
    earlier_attempts: Sequence[Path] = (),
    checkpoint_every: float = 600.0,
    step_timeout: float = 1800.0,
    stopping: Callable[[], bool] = lambda: False,
    until: int | None = None,
    contents: Contents | None = None,
) -> TrainingResult | TrainingAtRung | TrainingStopped:
    """Train a candidate to its end, or until an epoch, and write its result into the folder of
    this attempt.

    Continues from the furthest checkpoint of `earlier_attempts`, to the same last bit as a
    training that was never stopped.

    Args:
        report: called after each epoch with its metrics, and with a `CheckpointSaved` whenever
            a checkpoint is on disk.
        checkpoint_every: seconds between checkpoints in the middle of an epoch; one is also
            written after each epoch.
        step_timeout: seconds without a finished step after which the process ends itself.
        stopping: asked about once a second, between steps and between reruns, whether to stop.
            The training then saves a checkpoint, from which another attempt goes on. At its end
            only the evaluation of the test part and the reruns are left to be done again.
        until: the epoch after which this attempt ends, if that is not the training's own end.
        contents: what the data must hold; None where they are taken as they are.

    Returns:
        The content of `result.json`. `predictions.npz` has the class chosen for each test image.
        A training that was asked to stop before its end has no such files. Nor has a training
        that ended at `until`: `rung-<epoch>.json`, which is written after the checkpoint of that
        epoch, has what it reached.
    """
    attempt.mkdir(parents=True, exist_ok=True)
    arguments = (job, attempt, earlier_attempts, checkpoint_every, step_timeout, until, contents)
    if job.processes > 1:
        return distributed.launch(
            train_as, arguments, job.processes, job.device, attempt, report, _seldom(stopping)
        )
    return train_as(ALONE, report, stopping, *arguments)


def train_as(
    rank: Rank,
    report: Report,
    stopping: Callable[[], bool],
    job: Job,
    attempt: Path,
    earlier_attempts: Sequence[Path],
    checkpoint_every: float,
    step_timeout: float,
    until: int | None,
    contents: Contents | None,
) -> TrainingResult | TrainingAtRung | TrainingStopped:
    """What each process of a training does; the first one writes, reports, and is told to stop."""
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(job.deterministic)
    with watchdog.watched(attempt, step_timeout) as beat:
        trainer = Trainer(job, attempt.parent.parent, rank, contents)
        times = trainer.times
        checkpoint = files.newest_checkpoint([*earlier_attempts, attempt], job, times.stable_until)
        if checkpoint is not None:
            trainer.load_state_dict(checkpoint)
        elif job.parent is not None:
            parent = files.last_checkpoint(earlier_attempts, job.parent.job)
            if parent is None:
                raise PretrainedError(
                    f"trial {job.parent.trial} has no full checkpoint to go on from"
                )
            trainer.begin_from(parent)
        saved = time.monotonic()
        asked_to_stop = _seldom(stopping)

        def save() -> None:
            nonlocal saved
            trainer.save(attempt)
            saved = time.monotonic()
            if rank.is_first:
                report(CheckpointSaved(trainer.step))

        def go_on() -> None:
            """Where all that was done is saved already."""
            (stop,) = rank.agree(rank.is_first and asked_to_stop())
            if stop:
                raise _Stopped

        def go_on_to_rerun() -> None:
            beat()
            go_on()

        try:
            go_on()
            while not trainer.has_ended:
                if until is not None and trainer.epoch >= until:
                    return _at_rung(trainer, attempt, until)
                for _ in trainer.steps():
                    beat()
                    # The last step before a decay, from where a longer training goes on.
                    last_stable = trainer.step == times.stable_until < times.total
                    late, stop = rank.agree(
                        time.monotonic() - saved > checkpoint_every,
                        rank.is_first and asked_to_stop(),
                    )
                    if late or stop or (last_stable and trainer.can_go_on):
                        save()
                    if stop:
                        raise _Stopped
                metrics = trainer.end_epoch()
                if job.monitor and rank.is_first:
                    trainer.depths.append(record_depth(trainer))
                    files.write_json(attempt / DEPTH, trainer.depths)
                save()
                if rank.is_first:
                    report(metrics)
                go_on()
            end: FinalEvaluation | Divergence = finish(trainer, attempt, go_on_to_rerun)
        except Diverged as diverged:
            end = Divergence(str(diverged), diverged.step)
        except _Stopped:
            return TrainingStopped(trainer.step, trainer.seconds)
    result = TrainingResult(
        end=end,
        job=job.identity,
        epochs=_whole(trainer.step / times.epoch),
        steps=trainer.step,
        seconds=trainer.seconds,
        train_macs=train_macs(job.architecture, job.recipe, len(trainer.split.train)),
        history=tuple(trainer.history),
        environment=environment(),
    )
    if rank.is_first:
        files.write_json(attempt / RESULT, result.to_dict())
    return result


def _at_rung(trainer: Trainer, attempt: Path, epoch: int) -> TrainingAtRung:
    """What was reached after an epoch, which may lie behind: the checkpoint of a worker that died
    before it said so, or of a longer training that took the same path, is further."""
    reached = TrainingAtRung(trainer.job.identity, trainer.history[epoch - 1])
    if trainer.rank.is_first:
        files.write_json(attempt / f"{RUNG}{epoch}.json", reached.to_dict())
    return reached


def _seldom(ask: Callable[[], bool]) -> Callable[[], bool]:
    """The same question, asked once in a while only, and not again after a yes."""
    asked, answer = -math.inf, False

    def last_answer() -> bool:
        nonlocal asked, answer
        if not answer and time.monotonic() - asked >= _ASKED_AFTER:
            asked, answer = time.monotonic(), ask()
        return answer

    return last_answer


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
