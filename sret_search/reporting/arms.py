"""Arms that differ in anything but loops: each beside the reference, paired by seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from sret_search.reporting import paired
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.search.entry import Entry


@dataclass(frozen=True)
class Arm:
    """One value of the arms' axis. Accuracies are means over seeds, in fractions.

    Attributes:
        train_macs: multiply-adds of one training.
        difference: test accuracy over that of the reference, paired by seed.
    """

    name: str
    seeds: int
    is_reference: bool
    val: float
    test: float
    test_interval: Interval
    train_macs: int
    difference: float | None = None
    difference_interval: Interval | None = None


def arms(results: Results) -> list[Arm]:
    """Every arm with a complete trial; empty where arms are loops, or have several candidates."""
    declared = results.description["arms"]
    if declared is None or declared["axis"].endswith(".loops"):
        return []
    groups: dict[str, list[Entry]] = {}
    for entry in results.complete:
        groups.setdefault(json.dumps(entry.values.get(declared["axis"])), []).append(entry)
    if any(len({entry.candidate for entry in group}) > 1 for group in groups.values()):
        return []
    reference = groups.get(json.dumps(declared["reference"]), [])
    return [_arm(results, name, group, reference) for name, group in groups.items()]


def _arm(results: Results, name: str, arm: list[Entry], reference: list[Entry]) -> Arm:
    val = [entry.result["val_accuracy"] for entry in arm]
    test = [entry.result["test_accuracy"] for entry in arm]
    is_reference = arm is reference
    difference, interval = paired.UNKNOWN
    if not is_reference:
        difference, interval = paired.difference(results, arm, reference, lambda e: e.result)
    return Arm(
        name=_words(json.loads(name)),
        seeds=len(arm),
        is_reference=is_reference,
        val=float(np.mean(val)),
        test=float(np.mean(test)),
        test_interval=results.spreads["test"].interval(test),
        train_macs=arm[0].train_macs,
        difference=difference,
        difference_interval=interval,
    )


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
