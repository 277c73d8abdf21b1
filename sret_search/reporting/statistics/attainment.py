"""Fronts of several seeds as one: what accuracy so many of them reach for at most a cost.

The empirical attainment function (Grunert da Fonseca, Fonseca and Hall, 2001): a point is attained
by a seed whose front has one as accurate and as cheap. What at least k of n seeds attain has a stair
as its edge, the surface of the level k/n; that of half of the seeds is the median front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from sret_search.reporting.results import Results

SEEDS = 5
"""From so many on there is a band: the range of fewer holds the median too seldom."""
_COVERED = 0.90

Stairs = tuple[np.ndarray, np.ndarray]
"""The corners of a front, from cheap to dear: costs, and the accuracies from there on."""


@dataclass(frozen=True)
class Attained:
    """The fronts of a study's seeds, of accuracy on validation against a cost.

    Attributes:
        candidates: those that every seed has, which the fronts are of.
        median: what half of the seeds attain.
        low, high: what `of_low` and `of_high` of the seeds attain: between them lies, at each
            cost, the median of all seeds that might have been, in a share `covered` of studies.
    """

    cost: str
    seeds: int
    candidates: int
    median: Stairs
    low: Stairs
    high: Stairs
    of_low: int
    of_high: int
    covered: float


def surface(fronts: Sequence[tuple[Sequence[float], Sequence[float]]], seeds: int) -> Stairs:
    """What at least so many of the fronts attain.

    Args:
        fronts: of each seed, the accuracies (to be maximised) and costs (to be minimised) of its
            points, on the front or not.
    """
    costs = np.unique(np.concatenate([np.asarray(cost, float) for _, cost in fronts]))
    best = np.full((len(fronts), len(costs)), -math.inf)
    for row, (accuracies, own) in zip(best, fronts, strict=True):
        np.maximum.at(row, np.searchsorted(costs, own), accuracies)
    reached = np.sort(np.maximum.accumulate(best, axis=1), axis=0)[len(fronts) - seeds]
    is_corner = reached > np.concatenate([[-math.inf], reached[:-1]])
    return costs[is_corner], reached[is_corner]


def band(seeds: int) -> tuple[int, int, float]:
    """Of how many seeds the surfaces are that hold the median between them, and in which share
    of studies they do (order statistics, as for any median)."""
    outside = special.bdtr(np.arange(seeds // 2), seeds, 0.5)
    covered = 1 - 2 * outside
    k = max(int((covered >= _COVERED).sum()), 1)
    return seeds + 1 - k, k, float(covered[k - 1])


def attained(results: Results, cost: str) -> Attained | None:
    """The fronts by seed; None below `SEEDS` of them.

    Seeds are compared on the same candidates: those that have the most seeds.
    """
    table = results.compared.dropna(subset="val_accuracy")
    table = table[table.candidate.isin(results.sound.candidate)]
    if table.seed.nunique() < SEEDS:
        return None
    by_seed = table.pivot_table(index="candidate", columns="seed", values="val_accuracy")
    counts = by_seed.notna().sum(axis=1)
    most = by_seed[counts == counts.max()].dropna(axis=1)
    seeds = most.shape[1]
    if seeds < SEEDS:
        return None
    costs = table.groupby("candidate")[cost].first()[most.index].to_numpy(float)
    fronts = [(most[seed].to_numpy(), costs) for seed in most]
    of_low, of_high, covered = band(seeds)
    return Attained(
        cost=cost,
        seeds=seeds,
        candidates=len(most),
        median=surface(fronts, math.ceil(seeds / 2)),
        low=surface(fronts, of_low),
        high=surface(fronts, of_high),
        of_low=of_low,
        of_high=of_high,
        covered=covered,
    )
