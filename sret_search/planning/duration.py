"""Prediction of the time of a whole study, from all trainings that are known or expected."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sret_search.job import timetable
from sret_search.machine.step_time import StepTime
from sret_search.planning.plan import Role, TrainingPlan, training_plan
from sret_search.space.candidate import Candidate
from sret_search.study.study import Study

EXAMPLES = 256
"""Number of random draws that represent a study with drawn candidates."""

# Measured on two cores of a server.
_START = 15.0
"""Seconds for the start of Ray and its first workers, and for the report at the end."""
_TRIAL, _EPOCH = 0.3, 0.02
"""Seconds of a trial for model, data and result, and seconds of an epoch for the checkpoint."""
_LATENCY, _PASSES = 1.0, 13
"""Least seconds of a latency measurement, and number of its forward passes."""
_WATCHED, _LOOKS, _READ = 32, 6, 1000
"""Number of images of the monitor after each epoch, its time in forward passes, and the largest
number of validation images on which it reads the head after each loop."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of a study, in seconds.

    Attributes:
        wall: time from the start to the report.
        trials: sum over all trials.
        longest: time of the longest trial.
    """

    wall: float
    trials: float
    longest: float


def trainings(study: Study) -> list[TrainingPlan]:
    """All trainings of a study, branches included, in the order in which they start."""
    phases = training_plan(study, EXAMPLES)
    example = phases[0].candidates[0]
    branches = [replace(example, recipe=branch.recipe) for branch in study.file.branches]
    return (
        [*phases, TrainingPlan("search", branches, len(branches), exact=True)]
        if branches
        else phases
    )


def trial_seconds(
    study: Study, timing: StepTime, candidate: Candidate, role: Role = "search"
) -> float:
    """Seconds of a trial: steps, an evaluation after each epoch, the test and the reruns."""
    a, recipe = candidate.architecture, candidate.recipe
    images, val, test = study.sizes
    times = timetable(a, recipe, max(images, 1))
    epochs = math.ceil(times.total / times.epoch)
    total = _TRIAL + timing.seconds(a, recipe, images)
    total += epochs * (_EPOCH + timing.evaluation(a, recipe, val))
    total += (1 + epochs * study.file.test_curve) * timing.evaluation(a, recipe, test)
    for other in study.reruns(candidate) if role == "search" else ():
        total += timing.evaluation(other, recipe, val) + timing.evaluation(other, recipe, test)
    if study.file.monitor:
        total += epochs * _LOOKS * timing.evaluation(a, recipe, _WATCHED)
        total += epochs * timing.evaluation(a, recipe, min(val, _READ))
    if study.latency is not None:
        total += _LATENCY + _PASSES * timing.evaluation(a, recipe, study.latency)
    return total


def study_seconds(study: Study, timing: StepTime, at_a_time: int) -> Hours:
    """Times of the whole study. Each trial starts as soon as an earlier trial ends.

    Args:
        at_a_time: number of trials that run at a time.
    """
    lengths = [length for phase in trainings(study) for length in _lengths(study, timing, phase)]
    return Hours(
        wall=_START + _makespan(lengths, at_a_time),
        trials=sum(lengths),
        longest=max(lengths, default=0.0),
    )


def _lengths(study: Study, timing: StepTime, plan: TrainingPlan) -> list[float]:
    """Seconds of each training, in order. If candidates are examples, each represents an equal
    number of trainings, in random order."""
    each = [trial_seconds(study, timing, c, plan.role) for c in plan.candidates]
    if plan.exact:
        return each * (plan.trials // len(each))
    each.sort()
    spread = [each[int((i + 0.5) / plan.trials * len(each))] for i in range(plan.trials)]
    random.Random(0).shuffle(spread)
    return spread


def _makespan(lengths: Iterable[float], at_a_time: int) -> float:
    """Seconds until all trainings end. Each starts in the first free place."""
    free = [0.0] * at_a_time
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)
