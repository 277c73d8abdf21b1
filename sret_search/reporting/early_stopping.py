"""Trials that a scheduler stopped before their end, and the training that this saved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sret_search.reporting.results import Results
from sret_search.trials.trial import TrialRecord


@dataclass(frozen=True)
class Stopped:
    """What was not trained.

    Attributes:
        scheduler: the one that decided it.
        trials: that were stopped.
        asked_for: trials that the scheduler decided on.
        first, last: epochs after which the earliest and the latest of them were stopped.
        length: epochs of a whole training.
        seconds_saved: what the rest of their trainings would have taken at their own pace.
        share_saved: of what all trials that have ended would have taken.
    """

    scheduler: str
    trials: int
    asked_for: int
    first: int
    last: int
    length: int
    seconds_saved: float
    share_saved: float


def stopped(results: Results) -> Stopped | None:
    """The stopped trials of a study; None where there are none."""
    found = [entry for entry in results.entries if entry.state == "stopped"]
    if not found:
        return None
    under = [entry for entry in results.entries if entry.rungs or entry.state == "stopped"]
    spent = math.fsum(e.result.get("seconds", 0.0) for e in under if not e.open)
    saved = math.fsum(_left(entry) for entry in found)
    epochs = [int(entry.result["epochs"]) for entry in found]
    return Stopped(
        scheduler=results.description["scheduler"]["name"],
        trials=len(found),
        asked_for=len(under),
        first=min(epochs),
        last=max(epochs),
        length=int(found[-1].job.recipe.length),
        seconds_saved=saved,
        share_saved=saved / (saved + spent),
    )


def _left(entry: TrialRecord) -> float:
    """Seconds that the rest of a training would have taken, each epoch as long as those before."""
    length = entry.job.recipe.length
    return float(entry.result["seconds"] * (length / entry.result["epochs"] - 1))
