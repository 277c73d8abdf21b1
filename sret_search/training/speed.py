"""Seconds of training steps and evaluations on this machine, measured as trials run them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sret_search.environment import environment
from sret_search.job import Job
from sret_search.machine import allocator
from sret_search.training import watchdog
from sret_search.training.data import DataError
from sret_search.training.evaluation import logits_of
from sret_search.training.pretrained import PretrainedError
from sret_search.training.trainer import Trainer

_SECONDS = 3.0
"""Seconds of measured steps of a candidate; a third of it for evaluations."""
_EVALUATED = 256
"""Most images of an evaluation: a batch."""
_FEWEST = 3
"""Fewest measured steps."""
_WARM_UP = 2
"""Steps that are not counted: caches fill, kernels are chosen."""
_LONG = 10**6


class MeasuringError(Exception):
    """A candidate could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of a training step, and of an evaluation of `images` images."""

    step: float
    evaluation: float
    images: int


def speeds(jobs: Sequence[Job], at_a_time: int, gpus: int) -> Iterator[Speed]:
    """Measure candidates one after the other, each in several processes at once, as trials share a
    machine.

    Args:
        at_a_time: number of processes. Results are means over them.
        gpus: number of GPUs that the processes take in turn.

    Yields:
        The speed of each job.

    Raises:
        MeasuringError: a process ended, or a candidate does not run here.
    """
    context = multiprocessing.get_context("spawn")
    barrier, measured = context.Barrier(at_a_time), context.Queue()
    # Not daemons: a daemon could not start processes that read images.
    workers = [
        context.Process(target=_work, args=(jobs, barrier, measured, _visible(i, gpus)))
        for i in range(at_a_time)
    ]
    try:
        with environment(allocator.variables()):
            for worker in workers:
                worker.start()
        for _ in jobs:
            several = [_next(measured, workers) for _ in workers]
            step, evaluation = (
                float(np.mean([getattr(speed, name) for speed in several]))
                for name in ("step", "evaluation")
            )
            yield Speed(step, evaluation, several[0].images)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _next(measured: Any, workers: Sequence[Any]) -> Speed:
    while True:
        try:
            got = measured.get(timeout=1.0)
        except queue.Empty:
            if any(worker.exitcode for worker in workers):
                raise MeasuringError("a process that measured was killed") from None
        else:
            if isinstance(got, Speed):
                return got
            raise MeasuringError(got)


def _work(jobs: Sequence[Job], barrier: Any, measured: Any, visible: str | None) -> None:
    # Processes that read images start here as in a trial, which does not use "spawn".
    multiprocessing.set_start_method(None, force=True)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    for job in jobs:
        try:
            measured.put(measure(job, barrier.wait))
        except (DataError, PretrainedError, RuntimeError, MemoryError, OSError) as error:
            measured.put(
                f"{job.architecture.executions:,} executions: {watchdog.cause(error, job)[1]}"
            )
            return


def _visible(index: int, gpus: int) -> str | None:
    """The GPU of a process, among the GPUs of this process; None without GPUs."""
    if gpus == 0:
        return None
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else [str(i) for i in range(gpus)]
    return names[index % gpus].strip()


def measure(job: Job, together: Callable[[], object] = lambda: None) -> Speed:
    """Train a candidate for some steps, and evaluate it.

    Args:
        together: called before each part, to wait for processes that measure the same candidate.

    Raises:
        DataError: the data set cannot be used.
        PretrainedError: a model that the recipe names cannot be used.
    """
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(job.deterministic)
    # As expensive as the real training. But it neither ends nor diverges, and needs no weights of
    # other models, which may not exist yet.
    recipe = replace(
        job.recipe, epochs=_LONG, steps=None, samples=None, macs=None, warmup=None,
        decay=None, lr=1e-6, lr_start=0.0, lr_end=0.0, init=None, distill=None,
    )  # fmt: skip
    trainer = Trainer(replace(job, recipe=recipe), Path())
    together()
    step = _mean(_steps(trainer), _SECONDS, _WARM_UP, _FEWEST)
    together()
    # An image takes a third of its training time in evaluation.
    images = round(_SECONDS * recipe.batch_size / step)
    images = max(min(images, _EVALUATED, len(trainer.val_part)), 1)
    return Speed(step, _mean(_evaluations(trainer, images), _SECONDS / 3, 1, 1), images)


def _steps(trainer: Trainer) -> Iterator[float]:
    """Seconds of each step, except the last of an epoch, which may have fewer images."""
    while True:
        before = time.perf_counter()
        for _ in trainer.steps():
            _wait_for(trainer)
            if trainer.step % trainer.times.epoch or trainer.times.epoch == 1:
                yield time.perf_counter() - before
            before = time.perf_counter()
        trainer.end_epoch()


def _evaluations(trainer: Trainer, images: int) -> Iterator[float]:
    """Seconds of each evaluation."""
    split, precision = trainer.split, trainer.job.recipe.precision
    chosen = torch.arange(images)
    while True:
        before = time.perf_counter()
        model, part = trainer.trained, trainer.val_part
        logits_of(model, part, split.mean, split.std, chosen, precision=precision)
        yield time.perf_counter() - before


def _wait_for(trainer: Trainer) -> None:
    if trainer.device != "cpu":
        torch.cuda.synchronize()


def _mean(times: Iterator[float], seconds: float, warm_up: int, fewest: int) -> float:
    """Mean of the times after `warm_up`, over at least `seconds` seconds and `fewest` times."""
    for _ in range(warm_up):
        next(times)
    counted: list[float] = []
    while len(counted) < fewest or sum(counted) < seconds:
        counted.append(next(times))
    return float(np.mean(counted))
