"""Arms that differ in anything but loops: each beside the reference, paired by seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.verdict import Comparison, family
from sret_search.trials.trial import TrialRecord


@dataclass(frozen=True)
class Arm:
    """One value of the arms' axis. Accuracies are means over seeds, in fractions; of test they are
    None where the arm was declared after the results.

    Attributes:
        train_macs: multiply-adds of one training.
        difference: test accuracy over that of the reference.
    """

    name: str
    seeds: int
    is_reference: bool
    val: float
    test: float | None
    test_interval: Interval | None
    train_macs: int
    difference: Comparison = field(default_factory=Comparison)


def arms(results: Results) -> list[Arm]:
    """Every arm with a complete trial; empty where arms are loops, or have several candidates."""
    declared = results.study.file.arms
    if declared is None or declared.axis.endswith(".loops"):
        return []
    groups: dict[str, list[TrialRecord]] = {}
    for entry in results.complete:
        groups.setdefault(json.dumps(entry.values.get(declared.axis)), []).append(entry)
    if any(len({entry.candidate for entry in group}) > 1 for group in groups.values()):
        return []
    reference = groups.get(json.dumps(declared.reference), [])
    found = [_arm(results, name, group, reference) for name, group in groups.items()]
    others = [i for i, arm in enumerate(found) if not arm.is_reference]
    tests = family([found[i].difference for i in others], planned(results) - len(found))
    for i, difference in zip(others, tests, strict=True):
        found[i] = replace(found[i], difference=difference)
    return found


def planned(results: Results) -> int:
    """The number of arms that a study asks for, trained yet or not."""
    declared = results.study.file.arms
    if declared is None:
        return 0
    values = (candidate.values.get(declared.axis) for candidate in results.study.grid)
    return len({json.dumps(value) for value in values})


def _arm(results: Results, name: str, arm: list[TrialRecord], reference: list[TrialRecord]) -> Arm:
    val = [entry.result["val_accuracy"] for entry in arm]
    test = None if paired.is_closed(results, arm) else [e.result["test_accuracy"] for e in arm]
    is_reference = arm is reference
    return Arm(
        name=_words(json.loads(name)),
        seeds=len({entry.seed for entry in arm}),
        is_reference=is_reference,
        val=float(np.mean(val)),
        test=None if test is None else float(np.mean(test)),
        test_interval=None
        if test is None
        else results.spreads["test"].interval(test, arm[0].candidate),
        train_macs=arm[0].train_macs,
        difference=Comparison()
        if is_reference
        else paired.compared(results, arm, reference, "test"),
    )


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
