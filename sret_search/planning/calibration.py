"""Measurement of step times of a study's candidates on this machine, for `plan --calibrate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sret_search.config.problems import shown
from sret_search.job import Recipe
from sret_search.machine import step_time
from sret_search.machine.hardware import at_a_time, gpus, hardware, uses_gpu
from sret_search.machine.step_time import StepTime
from sret_search.planning import duration, preflight
from sret_search.space.candidate import Candidate
from sret_search.study import Study, StudyError

MEASURED = 6
"""Largest number of candidates that are measured."""


def calibrate(study: Study) -> Study:
    """Measure some of a study's candidates and store their step times.

    Returns:
        The study with the sizes and contents of its data.

    Raises:
        StudyError: data or a GPU is missing, or a candidate does not run.
    """
    preflight.check(study)

    import torch

    from sret_search.planning.user_inputs import check_inputs
    from sret_search.training.speed import MeasuringError, speeds

    compute = study.file.compute
    device = "cuda" if uses_gpu(compute) else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise StudyError(f"{shown(study.path)}: torch sees no GPU here")
    study = check_inputs(study)
    share = StepTime.guessed(compute).share
    candidates = [c for phase in duration.trainings(study) for c in phase.candidates]
    chosen = varied(candidates, MEASURED)
    jobs = [
        replace(
            study.job(c, study.file.search.seed, device),
            recipe=_without_growth(share(c.recipe)),
            processes=1,
        )
        for c in chosen
    ]
    trials = at_a_time(compute)
    points = []
    try:
        for job, speed in zip(jobs, speeds(jobs, trials, gpus()), strict=True):
            points.append(
                step_time.Point(
                    architecture=job.architecture,
                    recipe=job.recipe,
                    step=speed.step,
                    evaluated=speed.images,
                    evaluation=speed.evaluation,
                )
            )
            candidate = f"{job.architecture.executions:,} executions, batch {job.recipe.batch_size}"
            print(
                f"measured {len(points)} of {len(jobs)}: {candidate}: {1e3 * speed.step:,.1f} ms a step",
                file=sys.stderr,
                flush=True,
            )
    except MeasuringError as error:
        raise StudyError(f"{shown(study.path)}: cannot be measured: {error}") from None
    step_time.add(hardware(compute), points)
    return study


def _without_growth(recipe: Recipe) -> Recipe:
    """The recipe with a curriculum's last loops from the start: some steps cannot show its mean."""
    if recipe.depth_training.kind != "curriculum":
        return recipe
    return replace(recipe, depth_training=replace(recipe.depth_training, kind="fixed", grow=()))


def varied(candidates: Sequence[Candidate], number: int) -> list[Candidate]:
    """Choose candidates with steps that differ most in their parts.

    The first is the costliest candidate. Each next candidate is the least similar to those before.

    Args:
        number: largest number of candidates.
    """
    parts = [
        step_time.step_parts(c.architecture, c.recipe, 1, c.recipe.batch_size) for c in candidates
    ]
    logs = np.log(np.maximum(np.array(parts), 1))
    chosen = [int(logs.sum(1).argmax())]
    while len(chosen) < number:
        apart = np.abs(logs[:, None] - logs[chosen]).sum(2).min(1)
        if apart.max() == 0:
            break
        chosen.append(int(apart.argmax()))
    return [candidates[i] for i in chosen]
