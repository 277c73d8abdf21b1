"""Depth at equal cost: candidates that have about equally many parameters, or MACs.

In each slice stands, for each depth, its best candidate. Which depth is best is not known better
than the seeds allow: a depth may be the best one unless its best candidate is significantly worse
than that of another (multiple comparisons with the best, Hsu 1984, with Bonferroni's correction
over all candidates of the slice). So the depths that may be best hold the truly best one in at
least 95 % of studies, however many candidates each depth has: in so many where all are equal, and in
more, up to all, where one is clearly the best, since a set of whole depths has no finer steps.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from sret_search.reporting.results import Results
from sret_search.reporting.variances import Variances

TOLERANCE = 0.1
"""Costs of a slice differ by this share at most."""
_DEPTHS, _CANDIDATES = 3, 4
"""Fewest of a slice."""


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
    spread = results.spreads["val"]
    found, i = [], 0
    while i < len(table):
        if ends[i] - i >= _CANDIDATES and len(set(depths[i : ends[i]])) >= _DEPTHS:
            found.append(slice_of(table.iloc[i : ends[i]], cost, spread))
            i = int(ends[i])
        else:
            i += 1
    return found


def slice_of(part: pd.DataFrame, cost: Literal["params", "macs"], spread: Variances) -> Slice:
    """One slice of the table of candidates."""
    accuracy, seeds = part.val_accuracy.to_numpy(), part.seeds.to_numpy()
    variance, free = spread.at(accuracy)
    # Without seeds there is the choice of images.
    p = np.clip(accuracy, 0.5 / spread.images, 1 - 0.5 / spread.images)
    variance = np.where(free < 2, p * (1 - p) / spread.images, variance)
    free = np.where(free < 2, math.inf, free)
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
