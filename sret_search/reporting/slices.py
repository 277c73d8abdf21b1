"""Depth at equal cost: candidates that have about equally many parameters, or MACs.

In each slice stands, for each depth, its best candidate. Which depth is best is not known better
than the seeds allow: a depth may be the best one unless its best candidate is significantly worse
than that of another (multiple comparisons with the best, Hsu 1984, with Bonferroni's correction
over all candidates of the slice). So the depths that may be best hold the truly best one in at
least 95 % of studies, however many candidates each depth has.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from sret_search.reporting.results import Results

TOLERANCE = 0.1
"""Costs of a slice differ by this share at most."""
_DEPTHS, _CANDIDATES = 3, 4
"""Fewest of a slice."""
_FREE = 30
"""Degrees of freedom that the spread over seeds is taken from, where the study has so many."""


@dataclass(frozen=True)
class AtDepth:
    """The best candidate of a depth in a slice; `accuracy` is its mean over seeds."""

    executions: int
    candidate: str
    accuracy: float
    candidates: int
    may_be_best: bool


@dataclass(frozen=True)
class Slice:
    """Candidates of about equal cost, by executions.

    Attributes:
        cost: which is equal: "params" or "macs".
        low, high: the lowest and highest of the slice.
        error: standard error of the difference of two candidates as accurate as the best.
    """

    cost: Literal["params", "macs"]
    low: int
    high: int
    candidates: int
    depths: tuple[AtDepth, ...]
    error: float

    @property
    def span(self) -> str:
        """From where to where it goes, in words."""
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"

    @property
    def best(self) -> AtDepth:
        return max(self.depths, key=lambda one: one.accuracy)

    @property
    def interval(self) -> tuple[int, int]:
        """The fewest and the most executions that may be best."""
        may = [one.executions for one in self.depths if one.may_be_best]
        return min(may), max(may)

    @property
    def is_open(self) -> bool:
        """Whether every depth of the slice may be best."""
        return all(one.may_be_best for one in self.depths)

    @property
    def facts(self) -> dict[str, Any]:
        """For `summary.json`."""
        return asdict(self) | {"best": self.best.executions, "interval": self.interval}


def slices(results: Results, cost: Literal["params", "macs"]) -> list[Slice]:
    """Every slice with enough depths, from the cheapest on; none has a candidate of another."""
    table = results.sound
    table = table[np.isfinite(table.val_accuracy)].sort_values(cost, kind="stable")
    if len(table) < _CANDIDATES:
        return []
    costs, depths = table[cost].to_numpy(), table.executions.to_numpy()
    ends = np.searchsorted(costs, costs * (1 + TOLERANCE), side="right")
    spread = Spread.of(results.compared, results.description["data"]["sizes"][1])
    found, i = [], 0
    while i < len(table):
        if ends[i] - i >= _CANDIDATES and len(set(depths[i : ends[i]])) >= _DEPTHS:
            found.append(slice_of(table.iloc[i : ends[i]], cost, spread))
            i = int(ends[i])
        else:
            i += 1
    return found


@dataclass(frozen=True)
class Spread:
    """Variances over seeds of the study's candidates, by rising accuracy.

    They depend on accuracy: what is learnt badly is learnt differently by each seed.
    """

    accuracy: np.ndarray
    variance: np.ndarray
    free: np.ndarray
    images: int

    @classmethod
    def of(cls, trials: pd.DataFrame, images: int) -> Spread:
        """Of the trials that are compared, and the images of validation."""
        grouped = trials.groupby("candidate").val_accuracy
        table = pd.DataFrame({"a": grouped.mean(), "v": grouped.var(), "free": grouped.size() - 1})
        table = table[table.free > 0].sort_values("a")
        accuracy, variance, free = table[["a", "v", "free"]].to_numpy(dtype=float).T
        return cls(accuracy, variance, free, images)

    def at(self, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of trainings that come to these accuracies (n,): the variances, of the candidates with
        the most similar ones, and their degrees of freedom; those of the choice of images, where
        there are no seeds."""
        if self.free.sum() < 2:
            p = np.clip(accuracy, 0.5 / self.images, 1 - 0.5 / self.images)
            return p * (1 - p) / self.images, np.full(len(p), math.inf)
        # So many on each side are enough, as each has a degree of freedom at least.
        near = np.searchsorted(self.accuracy, accuracy)[:, None] + np.arange(-_FREE, _FREE)
        there = (near >= 0) & (near < len(self.accuracy))
        near = near.clip(0, len(self.accuracy) - 1)
        away = np.where(there, np.abs(self.accuracy[near] - accuracy[:, None]), math.inf)
        near = np.take_along_axis(near, np.argsort(away, axis=1, kind="stable"), axis=1)
        free = np.where(np.arange(2 * _FREE) < there.sum(1)[:, None], self.free[near], 0)
        free = np.where(np.cumsum(free, axis=1) - free < _FREE, free, 0)
        total = free.sum(1)
        return (self.variance[near] * free).sum(1) / total, total


def slice_of(part: pd.DataFrame, cost: Literal["params", "macs"], spread: Spread) -> Slice:
    """One slice of the table of candidates."""
    accuracy, seeds = part.val_accuracy.to_numpy(), part.seeds.to_numpy()
    variance, free = spread.at(accuracy)
    best = int(np.argmax(accuracy))
    bars = special.stdtrit(np.minimum(free, free[best]), 1 - 0.05 / (len(part) - 1))
    errors = np.sqrt(variance / seeds + variance[best] / seeds[best])
    may = accuracy >= accuracy[best] - bars * errors
    depths = []
    for executions, of in part.assign(may=may).groupby("executions"):
        first = of.loc[of.val_accuracy.idxmax()]
        depths.append(
            AtDepth(
                executions=int(executions),
                candidate=str(first.candidate),
                accuracy=float(first.val_accuracy),
                candidates=len(of),
                may_be_best=bool(of.may.any()),
            )
        )
    return Slice(
        cost=cost,
        low=int(part[cost].min()),
        high=int(part[cost].max()),
        candidates=len(part),
        depths=tuple(depths),
        error=float(errors[best]),
    )
