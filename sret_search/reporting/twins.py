"""Each candidate beside its twins: what its recursion is worth at equal parameters or compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sret_search.reporting import paired
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.search.entry import Entry
from sret_search.search.twins import beside
from sret_search.study.twins import TOLERANCE


@dataclass(frozen=True)
class Pair:
    """A candidate and one of its twins. Accuracies are means over seeds, in fractions.

    Attributes:
        executions, params, macs, train_macs: the twin's.
        matched, gap: the cost that is to be equal, and by which part the twin's is larger.
        part: of the data, on which they are compared: "test" for arms, else "val".
        difference: accuracy of the candidate less that of its twin, paired by seed.
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
    difference: float | None
    interval: Interval | None

    @property
    def is_matched(self) -> bool:
        """Whether the cost that is to be equal is."""
        return abs(self.gap) <= TOLERANCE

    @property
    def verdict(self) -> str:
        """In words, what the candidate is beside its twin."""
        if self.interval is None:
            return "one seed: no interval" if self.seeds == 1 else "no pair of seeds"
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "no measurable difference"


def pairs(results: Results) -> list[Pair]:
    """Every candidate with every twin of which both have a complete trial, by executions."""
    if not [c for c in results.description["controls"] if c != "rerun"]:
        return []
    by_name: dict[str, list[Entry]] = {}
    for entry in results.complete:
        by_name.setdefault(entry.candidate, []).append(entry)
    trained = results.having("twin") | by_name
    part = "test" if results.declared else "val"
    firsts = [entries[0] for entries in by_name.values()]
    found = []
    for name, its_twins in beside(results.study, firsts, results.entries).items():
        for twin in its_twins:
            theirs = trained.get(twin.candidate.name)
            if theirs is None:
                continue
            mine, known = by_name[name], theirs[0].cost
            gap, interval = paired.difference(results, mine, theirs, lambda e: e.result, part)
            found.append(
                Pair(
                    candidate=name,
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
                    seeds=len({e.seed for e in mine} & {e.seed for e in theirs}),
                    difference=gap,
                    interval=interval,
                )
            )
    return sorted(found, key=lambda pair: pair.candidate_executions)


def _mean(entries: list[Entry], part: str) -> float:
    return float(np.mean([entry.result[f"{part}_accuracy"] for entry in entries]))
