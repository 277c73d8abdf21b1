"""Depth at equal cost: candidates that have about equally many parameters, or MACs.

A slice has the best candidate of each depth. Seeds limit how well the best depth is known. First,
all depths of a slice are assumed equal. They are significantly different only if the best candidate
of one depth is significantly worse than the best of all, at 5 % for all slices of a page together
(Bonferroni). So if no depths differ, at most 5 % of pages report a difference. If depths are
significantly different, a depth may be the best unless its best candidate is significantly worse
than that of another (multiple comparisons with the best, Hsu 1984, with Bonferroni's correction
over all candidates of the slice). The depths that may be best contain the truly best depth in at
least 95 % of studies.

The spread over seeds, beyond what a seed does to all candidates alike, decides on differences
between candidates. One seed says nothing of this spread, so all depths stay open.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from sret_search.reporting.results import Results
from sret_search.reporting.statistics.intervals import LEAST
from sret_search.reporting.statistics.pooled_variance import Variances

TOLERANCE = 0.1
"""The largest relative difference of costs in a slice."""
_DEPTHS, _CANDIDATES = 3, 4
"""The fewest depths and the fewest candidates of a slice."""


@dataclass(frozen=True)
class AtDepth:
    """The best candidate of a depth in a slice. `accuracy` is its mean over seeds, as a
    fraction."""

    executions: int
    candidate: str
    accuracy: float
    candidates: int
    may_be_best: bool


@dataclass(frozen=True)
class Slice:
    """Candidates of about equal cost, sorted by executions.

    Attributes:
        cost: the cost that is equal: "params" or "macs".
        low, high: the lowest and highest cost of the slice.
        error: standard error of the difference of two candidates as accurate as the best. None if
            it cannot be estimated from the seeds.
    """

    cost: Literal["params", "macs"]
    low: int
    high: int
    candidates: int
    depths: tuple[AtDepth, ...]
    error: float | None

    @property
    def span(self) -> str:
        """The range of costs, in words."""
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"

    @property
    def best(self) -> AtDepth:
        return max(self.depths, key=lambda depth: depth.accuracy)

    @property
    def interval(self) -> tuple[int, int]:
        """The fewest and the most executions that may be best."""
        executions = [depth.executions for depth in self.depths if depth.may_be_best]
        return min(executions), max(executions)

    @property
    def is_open(self) -> bool:
        """Whether every depth of the slice may be best."""
        return all(depth.may_be_best for depth in self.depths)

    @property
    def facts(self) -> dict[str, Any]:
        """The entries for `summary.json`."""
        return asdict(self) | {"best": self.best.executions, "interval": self.interval}


def slices(results: Results, cost: Literal["params", "macs"]) -> list[Slice]:
    """Every slice with enough depths, in ascending order of cost. Slices share no candidates."""
    table = results.sound
    table = table[np.isfinite(table.val_accuracy)]
    parts = {name: _cut(table, name) for name in ("params", "macs")}
    tests = sum(map(len, parts.values()))
    return [slice_of(part, cost, results.spreads["val"], tests) for part in parts[cost]]


def _cut(table: pd.DataFrame, cost: str) -> list[pd.DataFrame]:
    """The parts of a table of candidates that are slices."""
    table = table.sort_values(cost, kind="stable")
    costs, depths = table[cost].to_numpy(), table.executions.to_numpy()
    ends = np.searchsorted(costs, costs * (1 + TOLERANCE), side="right")
    parts, i = [], 0
    while i < len(table):
        if ends[i] - i >= _CANDIDATES and len(set(depths[i : ends[i]])) >= _DEPTHS:
            parts.append(table.iloc[i : ends[i]])
            i = int(ends[i])
        else:
            i += 1
    return parts


def slice_of(
    part: pd.DataFrame, cost: Literal["params", "macs"], spread: Variances, tests: int = 1
) -> Slice:
    """A slice of the table of candidates.

    Args:
        tests: number of slices on the page, whose depths are tested at 5 % together.
    """
    accuracy, seeds = part.val_accuracy.to_numpy(), part.seeds.to_numpy()
    names, executions = part.candidate.to_numpy(), part.executions.to_numpy()
    groups = [np.flatnonzero(executions == depth) for depth in np.unique(executions)]
    best = int(np.argmax(accuracy))
    behind, dof, errors = _behind(accuracy, seeds, best, spread)
    # Any candidate of a depth that is truly its best may be measured as the best of all.
    pairs = len(part) * max(len(groups) - 1, 1)
    far = behind > _bars(dof, 0.05 / (tests * pairs)) * errors
    may_be_best = behind <= _bars(dof, 0.05 / (len(part) - 1)) * errors
    if not any(far[group].all() for group in groups):
        may_be_best[:] = True
    depths = []
    for group in groups:
        best_of_depth = group[np.argmax(accuracy[group])]
        depths.append(
            AtDepth(
                executions=int(executions[best_of_depth]),
                candidate=str(names[best_of_depth]),
                accuracy=float(accuracy[best_of_depth]),
                candidates=len(group),
                may_be_best=bool(may_be_best[group].any()),
            )
        )
    return Slice(
        cost=cost,
        low=int(part[cost].min()),
        high=int(part[cost].max()),
        candidates=len(part),
        depths=tuple(depths),
        error=float(errors[best]) if dof[best] else None,
    )


def _behind(
    accuracy: np.ndarray, seeds: np.ndarray, best: int, spread: Variances
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The accuracy of the best minus that of each candidate, the degrees of freedom, and the
    standard error. Degrees of freedom are 0 if seeds say nothing of it."""
    variance, dof = spread.rest_at(accuracy)
    variance = np.maximum(variance, (LEAST / spread.images) ** 2)
    squares = variance / seeds + variance[best] / seeds[best]
    dof = np.minimum(dof, dof[best])
    # The effect of seeds on all candidates differs between two candidates if one has fewer seeds.
    unlike = np.abs(1 / seeds - 1 / seeds[best])
    squares += spread.shared_at(accuracy) * unlike
    dof = np.where(unlike > 0, np.minimum(dof, spread.shared_dof), dof)
    return accuracy[best] - accuracy, np.where(dof < 1, 0, dof), np.sqrt(squares)


def _bars(dof: np.ndarray, level: float) -> np.ndarray:
    """Student's t at a level, one-sided. Infinite without degrees of freedom."""
    bars: np.ndarray = np.where(dof > 0, special.stdtrit(np.maximum(dof, 1), 1 - level), np.inf)
    return bars
