"""Arms on the data set connectivity: how accurate each is on paths of each length.

Shapes: I test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sret_search.job import Data
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import intervals
from sret_search.reporting.statistics.intervals import Interval
from sret_search.tasks import connectivity
from sret_search.tasks.connectivity import Grids


class Taken(NamedTuple):
    """What the trials of one arm took rightly, (seeds, I)."""

    name: str
    executions: int
    is_reference: bool
    right: np.ndarray


@dataclass(frozen=True)
class Tested:
    """The test part of a study on connectivity, and how each arm took it."""

    grids: Grids
    arms: list[Taken]


@dataclass(frozen=True)
class Lengths:
    """One arm: mean test accuracy over seeds, in fractions, at each length in steps, of grids
    that are joined, or of those that are not. Intervals are over seeds; None of one."""

    name: str
    is_reference: bool
    joined: bool
    steps: list[int]
    accuracy: list[float]
    interval: list[Interval | None]


def tested(results: Results) -> Tested | None:
    """What a study on connectivity was tested on, and its predictions; None of any other study,
    whose predictions are not read."""
    grids = test_part(results)
    return None if grids is None else Tested(grids, taken(results))


def test_part(results: Results) -> Grids | None:
    """The test part of a study on connectivity; None of any other study."""
    described = {name: v for name, v in results.description["data"].items() if name != "sizes"}
    data = Data(**described)
    return connectivity.test_part(data) if data.source == "connectivity" else None


def taken(results: Results) -> list[Taken]:
    """The arms with predictions that show test accuracy, by depth."""
    declared = results.description["arms"]
    groups: dict[str, list[tuple[int, bool, np.ndarray]]] = {}
    for entry in filter(results.shows_test, results.complete):
        executions, right = entry.job.architecture.executions, results.right(entry, "test")
        name, is_reference = f"{executions:,} execution{'s' if executions > 1 else ''}", True
        if declared is not None:
            value = entry.values.get(declared["axis"])
            is_reference = value == declared["reference"]
            if not declared["axis"].endswith(".loops"):
                name = f"{declared['axis'].rpartition('.')[2]} {value}"
        if right is not None:
            groups.setdefault(name, []).append((executions, is_reference, right))
    found = [
        Taken(name, seen[0][0], seen[0][1], np.array([right for _, _, right in seen]))
        for name, seen in groups.items()
    ]
    return sorted(found, key=lambda arm: arm.executions)


def by_length(tested: Tested | None) -> list[Lengths]:
    """The accuracies of each arm, joined grids first; none where there is no such test part."""
    if tested is None:
        return []
    test, arms = tested.grids, tested.arms
    every = np.unique(test.lengths)
    found = []
    for joined in (True, False):
        chosen = [(test.labels == joined) & (test.lengths == length) for length in every]
        for arm in arms:
            seeds = [arm.right[:, some].mean(1).tolist() for some in chosen]
            found.append(
                Lengths(
                    name=arm.name,
                    is_reference=arm.is_reference,
                    joined=joined,
                    steps=[int(length) for length in every],
                    accuracy=[float(np.mean(values)) for values in seeds],
                    interval=[
                        intervals.accuracy(values, int(some.sum())) if len(values) > 1 else None
                        for values, some in zip(seeds, chosen, strict=True)
                    ],
                )
            )
    return found
