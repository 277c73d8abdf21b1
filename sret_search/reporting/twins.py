"""Each candidate beside its twins: what its recursion is worth at equal parameters or compute."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sret_search.config.controls import CONTROLS
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.verdict import Comparison, family
from sret_search.search.controls import beside
from sret_search.space.twins import TOLERANCE, Twin
from sret_search.trials.trial import TrialRecord


@dataclass(frozen=True)
class Pair:
    """A candidate and one of its twins. Accuracies are means over seeds, in fractions.

    Attributes:
        executions, params, macs, train_macs: the twin's.
        matched, gap: the cost that is to be equal, and by which part the twin's is larger.
        part: of the data, on which they are compared: "test" for arms, else "val"; "val", too,
            where one of the two was declared after the results.
        difference: accuracy of the candidate less that of its twin.
    """

    candidate: str
    candidate_executions: int
    control: str
    twin: str
    executions: int
    params: int
    macs: int
    train_macs: int
    matched: str | None
    gap: float
    part: str
    accuracy: float
    twin_accuracy: float
    seeds: int
    difference: Comparison

    @property
    def is_matched(self) -> bool:
        """Whether the cost that is to be equal is."""
        return abs(self.gap) <= TOLERANCE

    @property
    def verdict(self) -> str:
        """What the candidate is beside its twin, in words."""
        is_unpaired = self.seeds == 0 and not self.difference.is_closed
        return "no pair of seeds" if is_unpaired else self.difference.verdict


def pairs(results: Results) -> list[Pair]:
    """Every candidate with every twin of which both have a complete trial, by executions."""
    if not any(CONTROLS[control].trains for control in results.description["controls"]):
        return []
    by_name: dict[str, list[TrialRecord]] = {}
    for entry in results.complete:
        by_name.setdefault(entry.candidate, []).append(entry)
    trained = results.having("twin") | by_name
    firsts = {entry.candidate: entry for entry in reversed(results.own)}
    found, missing = [], 0
    for name, its_twins in beside(results.study, firsts.values(), results.entries).items():
        for twin in its_twins:
            mine, theirs = by_name.get(name), trained.get(twin.candidate.name)
            if mine is None or theirs is None:
                missing += 1
            else:
                found.append(_pair(results, twin, mine, theirs))
    tests = family([pair.difference for pair in found], missing)
    found = [replace(pair, difference=test) for pair, test in zip(found, tests, strict=True)]
    return sorted(found, key=lambda pair: pair.candidate_executions)


def _pair(results: Results, twin: Twin, mine: list[TrialRecord], theirs: list[TrialRecord]) -> Pair:
    part, known = paired.part(results), theirs[0].cost
    if part == "test" and paired.is_closed(results, [*mine, *theirs]):
        part, difference = "val", paired.on_validation(results, mine, theirs)
    else:
        difference = paired.compared(results, mine, theirs, part)
    return Pair(
        candidate=mine[0].candidate,
        candidate_executions=mine[0].cost["executions"],
        control=twin.control,
        twin=twin.candidate.name,
        executions=known["executions"],
        params=known["params"],
        macs=known["macs"],
        train_macs=known["train_macs"],
        matched=twin.matched,
        gap=twin.gap,
        part=part,
        accuracy=_mean(mine, part),
        twin_accuracy=_mean(theirs, part),
        seeds=difference.seeds,
        difference=difference,
    )


def _mean(entries: list[TrialRecord], part: str) -> float:
    return float(np.mean([entry.result[f"{part}_accuracy"] for entry in entries]))
