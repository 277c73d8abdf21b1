"""Elastic candidates: accuracy of the same weights at every depth at which they were evaluated,
compared with weights trained for that depth only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sret_search.architecture import Architecture
from sret_search.job import DepthTraining, Recipe, train_macs, trained_depths
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import intervals, paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.verdict import Comparison, family
from sret_search.training.results import RerunResult
from sret_search.trials.trial import TrialRecord, by_candidate
from sret_search.trials.trial_result import TrialResult

_SAME_COMPUTE = 0.05


@dataclass(frozen=True)
class ElasticDepth:
    """An elastic candidate at one depth. Accuracies are means over seeds, as fractions.

    Attributes:
        is_trained: whether the candidate was trained at this depth, not only evaluated.
        has_rival: whether the study trains weights for this depth only, for the same duration.
        alone: accuracy of these weights. None until they are trained.
        gap: accuracy minus that of these weights.
    """

    executions: int
    is_trained: bool
    has_rival: bool
    accuracy: float
    interval: Interval | None
    alone: float | None
    gap: Comparison = field(default_factory=Comparison)


@dataclass(frozen=True)
class Elastic:
    """An elastic candidate.

    Attributes:
        part: "test" if candidates were declared before training, else "val".
        cost: multiply-adds of its training, divided by those of training its greatest depth only,
            for the same duration.
        rungs: its depths, in ascending order. The last is the full depth of the candidate.
        rival: the greatest depth, compared with weights trained for it only, with equal
            multiply-adds of training. None if these are the weights that were trained for the same
            duration.
    """

    candidate: str
    mode: str
    part: str
    seeds: int
    cost: float
    rungs: list[ElasticDepth]
    rival: ElasticDepth | None

    @property
    def trained(self) -> list[ElasticDepth]:
        """The depths at which the candidate was trained."""
        return [rung for rung in self.rungs if rung.is_trained]

    @property
    def compared(self) -> list[ElasticDepth]:
        """The depths that have a gap to weights trained for them only."""
        return [rung for rung in self.rungs if rung.gap.difference is not None]


def has_elastic(results: Results) -> bool:
    """Whether a study may train elastic candidates."""
    return results.study.has_elastic


def elastics(results: Results) -> list[Elastic]:
    """Every elastic candidate with a complete trial."""
    if not has_elastic(results):
        return []
    groups = by_candidate(entry for entry in results.complete if entry.job.recipe.is_elastic)
    alone = _alone(results)
    uncorrected = [_elastic(results, group, alone) for group in groups.values()]
    tests = iter(family([rung.gap for elastic in uncorrected for rung in _tested(elastic)]))
    return [
        replace(
            elastic,
            rungs=[replace(r, gap=next(tests)) if r.has_rival else r for r in elastic.rungs],
            rival=None if elastic.rival is None else replace(elastic.rival, gap=next(tests)),
        )
        for elastic in uncorrected
    ]


def _tested(elastic: Elastic) -> list[ElasticDepth]:
    """The depths that are compared, or will be."""
    depths = [rung for rung in elastic.rungs if rung.has_rival]
    return depths if elastic.rival is None else [*depths, elastic.rival]


@dataclass(frozen=True)
class _Alone:
    """Weights for one depth, with their complete trials. Empty if none is complete yet."""

    architecture: Architecture
    recipe: Recipe
    train_macs: int
    entries: list[TrialRecord]


def _alone(results: Results) -> list[_Alone]:
    """All weights that the study trains for one depth only."""
    images = results.study.sizes[0]
    trained = {
        entry.candidate: (entry.job.architecture, entry.job.recipe) for entry in results.comparable
    }
    if results.study.file.search.entry.exhaustive:
        trained = {c.name: (c.architecture, c.recipe) for c in results.study.grid} | trained
    complete = by_candidate(results.complete)
    return [
        _Alone(
            architecture,
            recipe,
            train_macs(architecture, recipe, images),
            complete.get(name, []),
        )
        for name, (architecture, recipe) in trained.items()
        if not recipe.is_elastic
    ]


def _elastic(results: Results, group: list[TrialRecord], alone: list[_Alone]) -> Elastic:
    job, macs = group[0].job, group[0].train_macs
    plain = replace(job.recipe, depth_training=DepthTraining(), depths=())
    as_long = {weights.architecture: weights for weights in alone if weights.recipe == plain}
    rival = next(
        (
            weights
            for weights in alone
            if weights.architecture == job.architecture
            and weights.recipe != plain
            and _undated(weights.recipe) == _undated(plain)
            and abs(weights.train_macs / macs - 1) < _SAME_COMPUTE
        ),
        None,
    )
    depths = [*job.reruns, job.architecture]
    trained = trained_depths(job.architecture, job.recipe)
    part = paired.part(results)
    compared = [as_long[depth] for depth in depths if depth in as_long]
    entries = [
        entry for weights in [*compared, *([rival] if rival else [])] for entry in weights.entries
    ]
    is_closed = part == "test" and paired.is_closed(results, [*group, *entries])
    if is_closed:
        part = "val"

    def rung(i: int, single: _Alone | None) -> ElasticDepth:
        def reached(entry: TrialRecord) -> TrialResult | RerunResult:
            is_full_depth = i == len(depths) - 1
            return entry.result if is_full_depth else entry.result.reruns[i]

        rivals = [] if single is None else single.entries
        values = [reached(entry).accuracy(part) for entry in group]
        several = len(values) > 1
        gap = (
            paired.on_validation(results, group, rivals, reached)
            if is_closed
            else paired.compared(results, group, rivals, part, trial_result=reached)
        )
        return ElasticDepth(
            executions=depths[i].executions,
            is_trained=depths[i] in trained,
            has_rival=single is not None,
            accuracy=float(np.mean(values)),
            interval=intervals.accuracy(values, results.images(part)) if several else None,
            alone=float(np.mean([e.result.accuracy(part) for e in rivals])) if rivals else None,
            gap=gap,
        )

    return Elastic(
        candidate=job.candidate,
        mode=job.recipe.depth_training.kind,
        part=part,
        seeds=len({entry.seed for entry in group}),
        cost=macs / train_macs(job.architecture, plain, group[0].images),
        rungs=[rung(i, as_long.get(depth)) for i, depth in enumerate(depths)],
        rival=None if rival is None else rung(len(depths) - 1, rival),
    )


def _undated(recipe: Recipe) -> Recipe:
    """A recipe without its duration."""
    return replace(recipe, epochs=1, steps=None, samples=None, macs=None, warmup=None, decay=None)
