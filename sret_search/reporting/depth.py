"""What depth bought: each arm beside what its depth gives without training at it.

With scaled residuals depth is a step size: the same weights run at another number of
executions may be as good. So the reference's weights are run at every depth (a rerun control),
and a trained depth counts as used only where it beats them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sret_search.reporting import paired
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.search.entry import Entry


@dataclass(frozen=True)
class Depth:
    """One arm. Accuracies are means over seeds, in fractions.

    Attributes:
        rerun_val, rerun_test: the reference's weights at this depth.
        back_val, back_test: this arm's weights at the reference's depth.
        gain: test accuracy of training at this depth over rerunning the reference at it,
            with its interval.
        difference: test accuracy of this arm over the reference at its own depth, likewise.
    """

    executions: int
    seeds: int
    is_reference: bool
    val: float
    val_interval: Interval
    test: float
    test_interval: Interval
    rerun_val: float | None = None
    rerun_test: float | None = None
    back_val: float | None = None
    back_test: float | None = None
    gain: float | None = None
    gain_interval: Interval | None = None
    difference: float | None = None
    difference_interval: Interval | None = None

    @property
    def is_unused(self) -> bool:
        """Whether weights that were trained at the reference's depth do as well at this one, as
        far as can be told."""
        return self.gain_interval is not None and self.gain_interval[0] <= 0

    @property
    def verdict(self) -> str:
        """In words, what training at this depth was worth."""
        if self.is_reference:
            return "the reference"
        if self.gain is None or self.gain_interval is None:
            return "no rerun control"
        low, high = self.gain_interval
        if low > 0:
            return "training at this depth gained"
        if high < 0:
            return "training at this depth lost"
        return "training at this depth made no measurable difference"


def depths(results: Results) -> list[Depth]:
    """Every arm that has a complete trial, by executions; empty where arms are not loops."""
    arms = results.description["arms"]
    if arms is None or not arms["axis"].endswith(".loops"):
        return []
    complete = results.complete
    by_arm: dict[int, list[Entry]] = {}
    for entry in complete:
        by_arm.setdefault(entry.job.architecture.executions, []).append(entry)
    reference = [entry for entry in complete if entry.values.get(arms["axis"]) == arms["reference"]]
    return [_depth(results, by_arm[e], reference) for e in sorted(by_arm)]


def _depth(results: Results, arm: list[Entry], reference: list[Entry]) -> Depth:
    executions = arm[0].job.architecture.executions
    val = [entry.result["val_accuracy"] for entry in arm]
    test = [entry.result["test_accuracy"] for entry in arm]
    is_reference = arm[0] in reference
    rerun = [r for e in reference if (r := _rerun(e, executions)) is not None]
    target = reference[0].job.architecture.executions if reference else None
    back = [b for e in arm if target is not None and (b := _rerun(e, target)) is not None]
    gain = difference = paired.UNKNOWN
    if not is_reference:
        gain = paired.difference(results, arm, reference, lambda e: _rerun(e, executions))
        difference = paired.difference(results, arm, reference, lambda e: e.result)
    return Depth(
        executions=executions,
        seeds=len(arm),
        is_reference=is_reference,
        val=float(np.mean(val)),
        val_interval=results.spreads["val"].interval(val),
        test=float(np.mean(test)),
        test_interval=results.spreads["test"].interval(test),
        rerun_val=_mean([r["val_accuracy"] for r in rerun]),
        rerun_test=_mean([r["test_accuracy"] for r in rerun]),
        back_val=_mean([b["val_accuracy"] for b in back]),
        back_test=_mean([b["test_accuracy"] for b in back]),
        gain=gain[0],
        gain_interval=gain[1],
        difference=difference[0],
        difference_interval=difference[1],
    )


def _rerun(entry: Entry, executions: int) -> dict[str, Any] | None:
    """What an arm's weights reach at a depth; its own result, where that is its own depth."""
    if entry.job.architecture.executions == executions:
        return entry.result
    for again in entry.result.get("reruns", []):
        if again["executions"] == executions:
            found: dict[str, Any] = again
            return found
    return None


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
