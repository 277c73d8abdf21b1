"""Elastic candidates: what one set of weights reaches at every depth that it was trained for,
beside weights that were trained for that depth alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sret_search.job import Recipe, train_macs
from sret_search.reporting import intervals
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.search.entry import Entry

_SAME_COMPUTE = 0.05


@dataclass(frozen=True)
class Rung:
    """An elastic candidate at one depth. Accuracies are means over seeds, in fractions.

    Attributes:
        alone: of weights trained for this depth alone, as long; gap: accuracy over theirs,
            paired by seed.
    """

    executions: int
    accuracy: float
    interval: Interval | None
    alone: float | None
    gap: float | None
    gap_interval: Interval | None


@dataclass(frozen=True)
class Elastic:
    """One elastic candidate.

    Attributes:
        part: "test" where candidates were declared before training, else "val".
        cost: multiply-adds of its training over those of its deepest alone, as long.
        rungs: from shallow to deep; the last is its own depth.
        rival: its deepest beside weights trained alone for as many multiply-adds in all.
    """

    candidate: str
    mode: str
    part: str
    seeds: int
    cost: float
    rungs: list[Rung]
    rival: Rung | None


def has_elastic(results: Results) -> bool:
    """Whether a study may train elastic candidates."""
    axis = "recipe.depth_training" in results.description["axes"]
    return axis or results.description["recipe"]["depth_training"] != "fixed"


def elastics(results: Results) -> list[Elastic]:
    """Every elastic candidate with a complete trial."""
    if not has_elastic(results):
        return []
    complete = results.complete
    groups: dict[str, list[Entry]] = {}
    for entry in complete:
        if entry.job.recipe.is_elastic:
            groups.setdefault(entry.candidate, []).append(entry)
    alone = [entry for entry in complete if not entry.job.recipe.is_elastic]
    part = "test" if results.declared else "val"
    images = results.images(part)
    return [_elastic(group, alone, part, images) for group in groups.values()]


def _elastic(group: list[Entry], alone: list[Entry], part: str, images: int) -> Elastic:
    job = group[0].job
    plain = replace(job.recipe, depth_training="fixed", depths=())
    as_long = [entry for entry in alone if entry.job.recipe == plain]
    depths = [*job.reruns, job.architecture]
    rungs = []
    for i, depth in enumerate(depths):
        own = [entry for entry in as_long if entry.job.architecture == depth]

        def reached(entry: Entry, i: int = i) -> float:
            last = i == len(depths) - 1
            found = entry.result if last else entry.result["reruns"][i]
            return float(found[f"{part}_accuracy"])

        rungs.append(_rung(depth.executions, group, own, reached, part, images))
    deepest = [entry for entry in alone if entry.job.architecture == job.architecture]
    rivals = [
        entry
        for entry in deepest
        if _undated(entry.job.recipe) == _undated(plain)
        and abs(entry.train_macs / group[0].train_macs - 1) < _SAME_COMPUTE
    ]
    deepest_macs = train_macs(job.architecture, plain, group[0].images)
    return Elastic(
        candidate=job.candidate,
        mode=job.recipe.depth_training,
        part=part,
        seeds=len(group),
        cost=group[0].train_macs / deepest_macs,
        rungs=rungs,
        rival=_rung(
            job.architecture.executions, group, rivals,
            lambda e: float(e.result[f"{part}_accuracy"]), part, images,
        ) if rivals else None,
    )  # fmt: skip


def _rung(
    executions: int,
    group: list[Entry],
    alone: list[Entry],
    reached: Callable[[Entry], float],
    part: str,
    images: int,
) -> Rung:
    values = [reached(entry) for entry in group]
    by_seed = {entry.seed: float(entry.result[f"{part}_accuracy"]) for entry in alone}
    gaps = [
        value - by_seed[entry.seed]
        for entry, value in zip(group, values, strict=True)
        if entry.seed in by_seed
    ]
    return Rung(
        executions=executions,
        accuracy=float(np.mean(values)),
        interval=intervals.accuracy(values, images) if len(values) > 1 else None,
        alone=float(np.mean(list(by_seed.values()))) if by_seed else None,
        gap=float(np.mean(gaps)) if gaps else None,
        gap_interval=intervals.difference(gaps, images) if len(gaps) > 1 else None,
    )


def _undated(recipe: Recipe) -> Recipe:
    """A recipe without its duration."""
    return replace(recipe, epochs=1, steps=None, samples=None, warmup=None, decay=None)
