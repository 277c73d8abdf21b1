"""The difference of two trained candidates, paired by seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sret_search.reporting import intervals
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.search.entry import Entry

Difference = tuple[float | None, Interval | None]
UNKNOWN: Difference = (None, None)


def difference(
    results: Results,
    mine: list[Entry],
    theirs: list[Entry],
    reached: Callable[[Entry], dict[str, Any] | None],
    part: str = "test",
) -> Difference:
    """The mean difference of accuracies over the seeds of both, with its interval; where there
    is one seed, the interval is over test images, and of validation there is none.

    Args:
        reached: which result of an entry of theirs counts, its own or one of its reruns; None
            where it has none.
        part: "test" or "val".
    """
    name = f"{part}_accuracy"
    by_seed = {entry.seed: entry for entry in theirs}
    pairs = [
        (entry, by_seed[entry.seed], other)
        for entry in mine
        if entry.seed in by_seed and (other := reached(by_seed[entry.seed])) is not None
    ]
    if not pairs:
        return UNKNOWN
    gains = [entry.result[name] - other[name] for entry, _, other in pairs]
    if len(gains) > 1:
        images = results.images(part)
        return float(np.mean(gains)), intervals.difference(gains, images)
    if part != "test":
        return gains[0], None
    entry, against, other = pairs[0]
    own = other is against.result
    run = "test" if own else f"rerun-{against.result['reruns'].index(other)}"
    first, second = results.right(entry, "test"), results.right(against, run)
    if first is None or second is None:
        return gains[0], None
    return gains[0], intervals.paired_proportions(first, second)
