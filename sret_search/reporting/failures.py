"""What went wrong: attempts that ended without an outcome, and trials that are lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sret_search.reporting.results import Results


@dataclass(frozen=True)
class Failure:
    """One cause, and how often.

    Attributes:
        is_lost: whether trials ended with it; of others, attempts did and were made again.
    """

    cause: str
    count: int
    is_lost: bool


def causes(results: Results) -> list[Failure]:
    """Every cause, trials that are lost first, the most frequent ones first."""
    lost: Counter[str] = Counter()
    again: Counter[str] = Counter()
    for entry in results.entries:
        if entry.state == "diverged":
            lost["loss not finite"] += 1
        elif entry.state == "failed":
            lost[str(entry.result.get("cause", "error"))] += 1
        again.update(entry.failures)
    return [
        *(Failure(cause, count, True) for cause, count in lost.most_common()),
        *(Failure(cause, count, False) for cause, count in again.most_common()),
    ]
