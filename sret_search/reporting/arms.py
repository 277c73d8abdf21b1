"""Arms that differ in anything but loops: each beside the reference, paired by seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from sret_search.reporting import intervals
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.search.ledger import Entry


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
    for entry in results.entries:
        if entry.state == "complete":
            groups.setdefault(json.dumps(entry.values.get(declared["axis"])), []).append(entry)
    if any(len({entry.job.candidate for entry in group}) > 1 for group in groups.values()):
        return []
    reference = groups.get(json.dumps(declared["reference"]), [])
    return [_arm(results, name, group, reference) for name, group in groups.items()]


def _arm(results: Results, name: str, arm: list[Entry], reference: list[Entry]) -> Arm:
    val = [entry.result["val_accuracy"] for entry in arm]
    test = [entry.result["test_accuracy"] for entry in arm]
    is_reference = arm is reference
    difference, interval = (None, None) if is_reference else paired(results, arm, reference)
    images = results.description["data"]["sizes"][2]
    one = intervals.proportion(test[0], images)
    return Arm(
        name=_words(json.loads(name)),
        seeds=len(arm),
        is_reference=is_reference,
        val=float(np.mean(val)),
        test=float(np.mean(test)),
        test_interval=intervals.mean(test) if len(test) > 1 else one,
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


def paired(
    results: Results, mine: list[Entry], theirs: list[Entry]
) -> tuple[float | None, Interval | None]:
    """The mean difference of test accuracies over the seeds of both; over images, where there
    is one seed."""
    by_seed = {entry.job.seed: entry for entry in theirs}
    pairs = [(entry, by_seed[entry.job.seed]) for entry in mine if entry.job.seed in by_seed]
    if not pairs:
        return None, None
    gains = [a.result["test_accuracy"] - b.result["test_accuracy"] for a, b in pairs]
    if len(gains) > 1:
        return float(np.mean(gains)), intervals.mean(gains)
    first, second = (results.right(entry, "test") for entry in pairs[0])
    if first is None or second is None:
        return gains[0], None
    return gains[0], intervals.paired_proportions(first, second)
