"""Estimate of the disk space that a study needs at most, before it runs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sret_search.artifacts.names import KEPT
from sret_search.config.base import size
from sret_search.job import timetable
from sret_search.job.disk import checkpoint_bytes, kept_bytes
from sret_search.machine.hardware import at_a_time
from sret_search.planning.plan import Role, training_plan
from sret_search.space.candidate import Candidate
from sret_search.study import Study

_IN_LEDGER, _EPOCH_IN_LEDGER, _RERUN_IN_LEDGER = 5_000, 170, 750
"""Bytes in the database of a trial, of each of its epochs, and of each of its reruns."""


@dataclass(frozen=True, slots=True)
class DiskEstimate:
    """Largest number of bytes of a study on disk.

    Attributes:
        live: number of trials that run at a time.
        kept: bytes of the checkpoints that running trials keep.
        writing: bytes that running trials may write next: another checkpoint, and the result.
        ended: bytes of the artifacts that all trials leave for good.
        checkpoints: bytes of the last checkpoints of ended trials, and of trials that wait at a
            rung. The quota limits only those of ended trials.
        ledger: bytes of the database; 0 if it is no file.
    """

    live: int
    kept: int
    writing: int
    ended: int
    checkpoints: int
    ledger: int

    @property
    def total(self) -> int:
        return self.kept + self.writing + self.ended + self.checkpoints + self.ledger


@dataclass(frozen=True, slots=True)
class _Training:
    """Bytes of a training.

    Attributes:
        checkpoint: bytes of a checkpoint.
        stable: bytes of the checkpoint before the decay of the learning rate; 0 without it.
        leaves: bytes of the artifacts that it leaves for good.
        row: bytes in the ledger.
        times: number of such trainings.
    """

    checkpoint: int
    stable: int
    leaves: int
    row: int
    times: int


def estimate_disk_usage(study: Study, live: int | None = None) -> DiskEstimate:
    """Estimate the disk space of a study. All candidates of a grid are known. Otherwise, and for
    branches, the largest of some random draws represents each candidate.

    Args:
        live: number of trials that run at a time; the number that this machine can run if None.
    """
    trainings: list[_Training] = []
    for phase in training_plan(study):
        # If candidates are drawn, the largest example represents each.
        of_phase = [_training(study, c, phase.role) for c in phase.candidates]
        if phase.exact:
            trainings += [
                replace(training, times=phase.trials // len(of_phase)) for training in of_phase
            ]
        else:
            largest = max(of_phase, key=lambda training: training.checkpoint)
            trainings.append(replace(largest, times=phase.trials))
    branched = max(trainings, key=lambda training: training.checkpoint)
    trainings.append(replace(branched, times=len(study.file.branches)))
    live = max(
        min(live or at_a_time(study.file.compute), sum(training.times for training in trainings)), 1
    )
    checkpoints = sum(
        training.times * (training.checkpoint + training.stable) for training in trainings
    )
    is_file = study.file.storage.url is None
    return DiskEstimate(
        live=live,
        kept=_largest(live, ((KEPT * t.checkpoint + t.stable, t.times) for t in trainings)),
        writing=_largest(live, ((t.checkpoint + t.leaves, t.times) for t in trainings)),
        ended=sum(training.times * training.leaves for training in trainings),
        # The quota does not limit checkpoints of trials that wait at rungs.
        checkpoints=checkpoints
        if study.rungs
        else min(checkpoints, size(study.file.storage.quota)),
        ledger=sum(training.times * training.row for training in trainings) if is_file else 0,
    )


def _training(study: Study, candidate: Candidate, role: Role) -> _Training:
    a, recipe, monitor = candidate.architecture, candidate.recipe, study.file.monitor
    images, _, test_images = study.sizes
    times = timetable(a, recipe, max(images, 1))
    epochs = math.ceil(times.total / times.epoch)
    reruns = len(study.reruns(candidate)) if role == "search" else 0
    checkpoint = checkpoint_bytes(a, recipe, epochs, monitor)
    return _Training(
        checkpoint=checkpoint,
        stable=checkpoint if recipe.schedule == "wsd" else 0,
        leaves=kept_bytes(a, epochs, test_images, reruns, monitor),
        row=_IN_LEDGER + epochs * _EPOCH_IN_LEDGER + reruns * _RERUN_IN_LEDGER,
        times=0,
    )


def _largest(count: int, sizes: Iterable[tuple[int, int]]) -> int:
    """Sum of the largest sizes.

    Args:
        count: number of sizes in the sum.
        sizes: each size, with the number of its occurrences.
    """
    return sum(heapq.nlargest(count, (s for s, times in sizes for _ in range(min(times, count)))))
