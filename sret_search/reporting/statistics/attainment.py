"""The accuracy that a number of seeds reach at no more than a cost: fronts of several seeds
combined.

The method is the empirical attainment function (Grunert da Fonseca, Fonseca and Hall, 2001). A seed
attains a point if its front has a point at least as accurate and as cheap. The edge of the points
that at least k of n seeds attain is a staircase, the surface of level k/n. The surface of half of
the seeds is the median front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from sret_search.reporting.results import Results

SEEDS = 5
"""The fewest seeds for a band. The range of fewer seeds contains the median too seldom."""
_COVERED = 0.90

Stairs = tuple[np.ndarray, np.ndarray]
"""The corners of a front, in ascending order of cost: costs, and the accuracies from there on."""


@dataclass(frozen=True)
class Attained:
    """The fronts of a study's seeds, of validation accuracy against a cost.

    Attributes:
        candidates: number of candidates that every seed has, from which the fronts are built.
        median: surface that half of the seeds attain.
        low, high: surfaces that `of_low` and `of_high` of the seeds attain. At each cost the median
            of all possible seeds lies between them in a share `covered` of studies.
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
    """The surface that at least `seeds` of the fronts attain.

    Args:
        fronts: accuracies (to maximise) and costs (to minimise) of the points of each seed, on the
            front or not.
        seeds: number of fronts that must attain it.
    """
    costs = np.unique(np.concatenate([np.asarray(cost, float) for _, cost in fronts]))
    best = np.full((len(fronts), len(costs)), -math.inf)
    for row, (accuracies, of_seed) in zip(best, fronts, strict=True):
        np.maximum.at(row, np.searchsorted(costs, of_seed), accuracies)
    reached = np.sort(np.maximum.accumulate(best, axis=1), axis=0)[len(fronts) - seeds]
    is_corner = reached > np.concatenate([[-math.inf], reached[:-1]])
    return costs[is_corner], reached[is_corner]


def band(seeds: int) -> tuple[int, int, float]:
    """The levels of the surfaces that contain the median between them, as numbers of seeds, and the
    share of studies in which they do (order statistics, as for any median)."""
    outside = special.bdtr(np.arange(seeds // 2), seeds, 0.5)
    covered = 1 - 2 * outside
    k = max(int((covered >= _COVERED).sum()), 1)
    return seeds + 1 - k, k, float(covered[k - 1])


def attained(results: Results, cost: str) -> Attained | None:
    """The fronts by seed. None with fewer than `SEEDS` seeds.

    Seeds are compared on the same candidates: those that have the most seeds.
    """
    table = results.compared.dropna(subset="val_accuracy")
    table = table[table.candidate.isin(results.sound.candidate)]
    if table.seed.nunique() < SEEDS:
        return None
    by_seed = table.pivot_table(index="candidate", columns="seed", values="val_accuracy")
    counts = by_seed.notna().sum(axis=1)
    complete = by_seed[counts == counts.max()].dropna(axis=1)
    seeds = complete.shape[1]
    if seeds < SEEDS:
        return None
    costs = table.groupby("candidate")[cost].first()[complete.index].to_numpy(float)
    fronts = [(complete[seed].to_numpy(), costs) for seed in complete]
    of_low, of_high, covered = band(seeds)
    return Attained(
        cost=cost,
        seeds=seeds,
        candidates=len(complete),
        median=surface(fronts, math.ceil(seeds / 2)),
        low=surface(fronts, of_low),
        high=surface(fronts, of_high),
        of_low=of_low,
        of_high=of_high,
        covered=covered,
    )
