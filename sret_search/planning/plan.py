"""Trainings of a study by role, as far as they are known before it runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sret_search.job import image_macs, images_seen, train_macs, without_gradient
from sret_search.space.candidate import Candidate
from sret_search.space.twins import twins
from sret_search.study.study import Study

Role = Literal["search", "rate", "twin", "confirmation"]
"""Purpose of a trial: the search by the sampler or the arms, the choice of an arm's learning rate,
a twin of a candidate, or the confirmation of the front."""

EXAMPLES = 64
"""Number of random draws that represent a study with drawn candidates."""


@dataclass(frozen=True)
class TrainingPlan:
    """Trainings of one role.

    Attributes:
        role: purpose of the trainings.
        candidates: all candidates, or examples of them.
        trials: number of trainings.
        exact: whether both are known. Otherwise they depend on random draws or on results.
    """

    role: Role
    candidates: list[Candidate]
    trials: int
    exact: bool


def training_plan(study: Study, draws: int = EXAMPLES) -> list[TrainingPlan]:
    """Plan the trainings of a study, without branches. Plans are cached in the study.

    Args:
        draws: number of random draws that represent the candidates if these cannot be listed.
    """
    draws = 0 if study.is_listed else draws
    if draws not in study.plans:
        study.plans[draws] = list(_planned(study, draws))
    phases: list[TrainingPlan] = study.plans[draws]
    return phases


def _planned(study: Study, draws: int) -> Iterator[TrainingPlan]:
    search, arms, confirm = study.file.search, study.file.arms, study.file.confirm
    candidates = study.examples(draws)
    listed = search.entry.exhaustive and len(candidates) * search.seeds == study.trials
    beside = _beside(study, candidates)
    number = math.ceil(study.trials / search.seeds)
    if arms is not None and arms.lr is not None:
        rated = [
            at_rate(candidate, lr) for candidate in (*candidates, *beside) for lr in arms.lr.grid
        ]
        yield TrainingPlan("rate", rated, len(rated) * arms.lr.seeds, exact=False)
    yield TrainingPlan("search", candidates, study.trials, exact=listed)
    if beside:
        trials = round(len(beside) / len(candidates) * number) * search.seeds
        yield TrainingPlan("twin", beside, trials, exact=listed)
    if confirm is not None:
        # Expected number of points on a front of two independent objectives.
        members = sum(1 / n for n in range(1, number + 1))
        yield TrainingPlan("confirmation", candidates, round(members) * confirm.seeds, exact=False)


def competitors(study: Study) -> list[Candidate]:
    """Candidates that a study with arms compares: the arms and their twins."""
    return [*study.grid, *_beside(study, study.grid)]


def least_trials(study: Study) -> int:
    """Least number of trainings. Only results tell how many trainings confirm a front or extend a
    grid of learning rates."""
    phases = training_plan(study)
    certain = sum(p.trials for p in phases if p.exact or p.role in ("search", "rate"))
    return certain + len(study.file.branches)


@dataclass(frozen=True, slots=True)
class ComputedLength:
    """The samples that a length in multiply-adds means.

    Attributes:
        macs: multiply-adds of a training.
        cheapest, dearest: samples of a training of the candidate whose images cost least and most.
    """

    macs: float
    cheapest: int
    dearest: int


def computed_lengths(study: Study, draws: int = EXAMPLES) -> list[ComputedLength]:
    """Every length in multiply-adds of a study, in ascending order."""
    images = study.sizes[0]
    samples: dict[float, list[int]] = {}
    for phase in training_plan(study, draws):
        for c in phase.candidates:
            if c.recipe.macs is not None:
                seen = (
                    images_seen(c.architecture, c.recipe, images)
                    if images
                    else round(c.recipe.macs / image_macs(c.architecture, c.recipe))
                )
                samples.setdefault(c.recipe.macs, []).append(seen)
    return [ComputedLength(macs, max(seen), min(seen)) for macs, seen in sorted(samples.items())]


def untrained_parts(study: Study, draws: int = EXAMPLES) -> str | None:
    """A sentence on the parts that get no gradient in some trainings; None if all get one."""
    candidates = [c for phase in training_plan(study, draws) for c in phase.candidates]
    parts = [p for c in candidates if (p := without_gradient(c.architecture, c.recipe))]
    if not parts:
        return None
    which = "" if len(parts) == len(candidates) else f" in {len(parts):,} of {len(candidates):,}"
    return (
        f"{parts[0]} keep their initial weights{which}: no gradient reaches them through loops"
        " without a graph; `loop.injection` leads one there"
    )


def train_macs_planned(study: Study) -> float:
    """Multiply-adds of all trainings without branches, with the expected stops of the scheduler."""
    images, share = study.sizes[0], share_trained(study)
    return math.fsum(
        phase.trials
        * (share if phase.role == "search" else 1)
        * statistics.fmean(train_macs(c.architecture, c.recipe, images) for c in phase.candidates)
        for phase in training_plan(study)
    )


def share_trained(study: Study) -> float:
    """Expected share of the sampler's epochs that are trained, in (0, 1]. At each rung, one trial
    in `eta` continues."""
    share = before = 0.0
    for epoch, reaching in zip(
        (*study.rungs, study.file.recipe.length),
        (study.file.scheduler.eta**-k for k in range(len(study.rungs) + 1)),
        strict=True,
    ):
        share += reaching * (epoch - before) / study.file.recipe.length
        before = epoch
    return share


def at_rate(candidate: Candidate, lr: float) -> Candidate:
    """The same candidate with another learning rate.

    Raises:
        ValueError: the first or last rate of the recipe is above it.
    """
    return replace(candidate, recipe=replace(candidate.recipe, lr=lr))


def _beside(study: Study, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Distinct twins of candidates, without twins that are among the candidates."""
    names = {candidate.name for candidate in candidates}
    images = study.sizes[0]
    of_candidates = (t.candidate for c in candidates for t in twins(study.file.controls, c, images))
    return list({twin.name: twin for twin in of_candidates if twin.name not in names}.values())
