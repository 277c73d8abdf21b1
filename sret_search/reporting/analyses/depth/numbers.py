"""The gain of training at each depth, over weights trained at another depth.

With scaled residuals depth is a step size: the same weights may be as good with another number of
executions. So the reference's weights run at every depth (a rerun control). A trained depth counts
as used only if it is better than they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sret_search.reporting.analyses.arms import planned
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.standard_error import LEVEL, p_below
from sret_search.reporting.statistics.verdict import CLOSED, LOST, ONE_SEED, Comparison, family
from sret_search.training.results import RerunResult
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

BOUND = 0.01
"""The gain of training at a depth, one point, below which the depth counts as not used."""


@dataclass(frozen=True)
class Depth:
    """An arm. Accuracies are means over seeds, as fractions. Test accuracies are None if the arm
    was declared after the results.

    Attributes:
        rerun_val, rerun_test: accuracy of the reference's weights at this depth.
        back_val, back_test: accuracy of this arm's weights at the reference's depth.
        gain: test accuracy of training at this depth minus that of a rerun of the reference at it.
        difference: test accuracy of this arm minus that of the reference at the reference's depth.
        below_p: one-sided p-value of a gain of `BOUND` or more, corrected over the depths. None
            with fewer than two seeds.
    """

    executions: int
    seeds: int
    is_reference: bool
    val: float
    val_interval: Interval
    test: float | None
    test_interval: Interval | None
    rerun_val: float | None = None
    rerun_test: float | None = None
    back_val: float | None = None
    back_test: float | None = None
    gain: Comparison = field(default_factory=Comparison)
    difference: Comparison = field(default_factory=Comparison)
    below_p: float | None = None

    @property
    def is_unused(self) -> bool:
        """Whether training at this depth gains less than `BOUND` over weights trained at the
        reference's depth. A one-sided test over seeds decides. A depth with a significant gain is
        never unused."""
        return self.below_p is not None and self.below_p < LEVEL and self.gain.sign != 1

    @property
    def verdict(self) -> str:
        """The verdict on training at this depth, in words."""
        if self.is_reference:
            return "the reference"
        if self.gain.is_closed:
            return CLOSED
        if self.gain.is_lost:
            return LOST
        if self.gain.difference is None:
            return "no rerun control"
        if self.gain.sign is None:
            return ONE_SEED
        if self.gain.sign == 0:
            return "training at this depth made no measurable difference"
        return f"training at this depth {'gained' if self.gain.sign > 0 else 'lost'}"


def depths(results: Results) -> list[Depth]:
    """Every arm with a complete trial, sorted by executions. Empty if arms are not loops, or have
    several candidates."""
    by_arm, arms = arms_by_depth(results), results.study.file.arms
    if arms is None:
        return []
    reference = [e for e in results.complete if e.values.get(arms.axis) == arms.reference]
    trained = [_depth(results, by_arm[e], reference) for e in sorted(by_arm)]
    missing = planned(results) - len(trained)
    return _corrected(trained, missing, reruns="rerun" in results.study.file.controls)


def arms_by_depth(results: Results) -> dict[int, list[TrialRecord]]:
    """The complete trials of each arm, by executions. Empty if arms are not loops, or have several
    candidates."""
    arms = results.study.file.arms
    if arms is None or not arms.axis.endswith(".loops"):
        return {}
    by_arm: dict[int, list[TrialRecord]] = {}
    for entry in results.complete:
        by_arm.setdefault(entry.job.architecture.executions, []).append(entry)
    if any(len({entry.candidate for entry in arm}) > 1 for arm in by_arm.values()):
        return {}
    return by_arm


def _corrected(trained: list[Depth], missing: int, reruns: bool) -> list[Depth]:
    """The depths with corrected tests. Gains and differences are one family. The tests that gains
    are small are another.

    Args:
        missing: number of arms without a complete trial.
        reruns: whether there are rerun controls, so that gains are tested.
    """
    arms = [depth for depth in trained if not depth.is_reference]
    gains = [depth.gain for depth in arms] if reruns else []
    tests = family([*(depth.difference for depth in arms), *gains], missing * (1 + reruns))
    small = family([replace(gain, p=_below(gain)) for gain in gains], missing)
    corrected = {
        depth.executions: replace(
            depth,
            difference=tests[i],
            gain=tests[len(arms) + i] if reruns else depth.gain,
            below_p=small[i].p_holm if reruns else None,
        )
        for i, depth in enumerate(arms)
    }
    return [corrected.get(depth.executions, depth) for depth in trained]


def _below(gain: Comparison) -> float | None:
    if gain.spread is None or gain.difference is None or gain.is_lost:
        return None
    return p_below(gain.difference, gain.spread, BOUND)


def _depth(results: Results, arm: list[TrialRecord], reference: list[TrialRecord]) -> Depth:
    executions = arm[0].job.architecture.executions
    is_reference = arm[0] in reference
    rerun = [r for e in reference if (r := run_at(e, executions)) is not None]
    target = reference[0].job.architecture.executions if reference else None
    back = [b for e in arm if target is not None and (b := run_at(e, target)) is not None]
    val = [entry.result.accuracy("val") for entry in arm]
    test, test_interval = paired.accuracy_on_test(results, arm)
    shows_reference = not paired.is_closed(results, reference)
    depth = Depth(
        executions=executions,
        seeds=len({entry.seed for entry in arm}),
        is_reference=is_reference,
        val=float(np.mean(val)),
        val_interval=results.spreads["val"].interval(val, arm[0].candidate),
        test=test,
        test_interval=test_interval,
        rerun_val=_mean([r.accuracy("val") for r in rerun]),
        rerun_test=_mean([r.accuracy("test") for r in rerun]) if shows_reference else None,
        back_val=_mean([b.accuracy("val") for b in back]),
        back_test=None if test is None else _mean([b.accuracy("test") for b in back]),
    )
    if is_reference:
        return depth

    def rerun_here(entry: TrialRecord) -> TrialResult | RerunResult | None:
        return run_at(entry, executions)

    return replace(
        depth,
        gain=paired.compared(results, arm, reference, "test", rival_result=rerun_here),
        difference=paired.compared(results, arm, reference, "test"),
    )


def run_at(entry: TrialRecord, executions: int) -> TrialResult | RerunResult | None:
    """The result of an arm's weights at a depth: a rerun, or the trial's result at its trained
    depth. None if there is no such rerun."""
    if entry.job.architecture.executions == executions:
        return entry.result
    for rerun in entry.result.reruns:
        if rerun.executions == executions:
            return rerun
    return None


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
