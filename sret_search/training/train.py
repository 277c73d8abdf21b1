"""Training of a candidate, as a plain function of a job. It reports to a callable."""

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
from sret_search.training import checkpoints, compiled, distributed, watchdog
from sret_search.training.distributed import ALONE, Rank
from sret_search.training.final_evaluation import finish, record_depth
from sret_search.training.pretrained import PretrainedError
from sret_search.training.results import (
    CheckpointSaved,
    Divergence,
    EpochMetrics,
    FinalEvaluation,
    Notice,
    TrainingAtRung,
    TrainingResult,
    TrainingStopped,
)
from sret_search.training.trainer import Trainer
from sret_search.training.watchdog import Diverged
from sret_search.writing import write_json

Report = Callable[[EpochMetrics | CheckpointSaved | Notice], None]

_ASKED_AFTER = 1.0
"""Seconds between two calls of `stopping`. An answer may take longer than a step."""


class _Stopped(Exception):
    """The training was asked to stop, and its state is in a checkpoint."""


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
    """Train a candidate to its end, or until an epoch, and write its result into the attempt's
    folder.

    The training continues from the furthest checkpoint of `earlier_attempts`. Its result is the
    same to the last bit as that of a training without interruption.

    Args:
        job: the training.
        attempt: folder of this attempt, made if absent.
        report: called after each epoch with its metrics, with a `CheckpointSaved` after each
            checkpoint, and with a `Notice` if blocks that were to be compiled are not.
        earlier_attempts: folders of the trial's earlier attempts, and of its parent's.
        checkpoint_every: seconds between checkpoints within an epoch. Each epoch also ends with a
            checkpoint.
        step_timeout: seconds without a finished step, after which the process ends itself.
        stopping: asked about once a second whether to stop, between steps and between reruns. The
            training then saves a checkpoint, from which another attempt goes on. After the last
            step, only the evaluation of the test part and the reruns are repeated.
        until: epoch after which this attempt ends; None for the end of the training.
        contents: expected fingerprint of the data; None does not check it.

    Returns:
        The content of `result.json`. `predictions.npz` has the predicted class of each test image.
        A training that was asked to stop writes neither file. A training that ended at `until`
        writes `rung-<epoch>.json` after the checkpoint of that epoch.

    Raises:
        DataError: the data set cannot be used, or has changed.
        PretrainedError: a model that the recipe names, or the parent's checkpoint, cannot be used.
        RankDied: a process of several was killed.
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
    """Train in a process of a training. The first process writes, reports, and is asked to stop."""
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(job.deterministic)
    with watchdog.watched(attempt, step_timeout) as beat:
        trainer = Trainer(job, attempt.parent.parent, rank, contents)
        times = trainer.times
        checkpoint = checkpoints.newest_checkpoint(
            [*earlier_attempts, attempt], job, times.stable_until
        )
        if checkpoint is not None:
            trainer.load_state_dict(checkpoint)
        elif job.parent is not None:
            parent = checkpoints.last_checkpoint(earlier_attempts, job.parent.job)
            if parent is None:
                raise PretrainedError(
                    f"trial {job.parent.trial} has no full checkpoint to go on from"
                )
            trainer.begin_from(parent)
        saved = time.monotonic()
        asked_to_stop = _seldom(stopping)
        is_told = bool(trainer.blocks.eager)

        def save() -> None:
            nonlocal saved
            trainer.save(attempt)
            saved = time.monotonic()
            if rank.is_first:
                report(CheckpointSaved(trainer.step))

        def go_on() -> None:
            """Raise _Stopped if asked to stop, at a point where all work is saved."""
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
                    if trainer.blocks.eager and not is_told and rank.is_first:
                        report(Notice(f"{compiled.EAGER}: {trainer.blocks.eager}"))
                        is_told = True
                    # The last step before a decay: a longer training can go on from it.
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
                    write_json(attempt / DEPTH, [each.to_dict() for each in trainer.depths])
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
        environment=environment(trainer.blocks.eager),
    )
    if rank.is_first:
        write_json(attempt / RESULT, result.to_dict())
    return result


def _at_rung(trainer: Trainer, attempt: Path, epoch: int) -> TrainingAtRung:
    """Metrics at the end of an epoch, written as a rung.

    The training may already be further: after the checkpoint of a worker that died before it
    reported, or of a longer training on the same path.
    """
    reached = TrainingAtRung(trainer.job.identity, trainer.history[epoch - 1])
    if trainer.rank.is_first:
        write_json(attempt / f"{RUNG}{epoch}.json", reached.to_dict())
    return reached


def _seldom(ask: Callable[[], bool]) -> Callable[[], bool]:
    """A callable that passes the question on at most once a second, and never after a yes."""
    last_asked, answer = -math.inf, False

    def last_answer() -> bool:
        nonlocal last_asked, answer
        if not answer and time.monotonic() - last_asked >= _ASKED_AFTER:
            last_asked, answer = time.monotonic(), ask()
        return answer

    return last_answer


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else round(number, 3)


def environment(eager: str | None = None) -> dict[str, Any]:
    """Versions and hardware on which a result's last bits may depend.

    Args:
        eager: why blocks are not compiled, empty if they are; None if the recipe does not compile.
    """
    blocks = {} if eager is None else {"blocks": f"eager: {eager}" if eager else "compiled"}
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        **blocks,
    }
